// The code that docs/webhooks.md gives to receivers, run as it stands there against signatures of ours.
import { execFile, spawnSync } from 'node:child_process'
import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newWebhookSecret, signingKey, signWebhook } from '../../src/webhooks/sign.ts'

const run = promisify(execFile)
const body = '{"id":"evt_1","data":{"text":"Habari ❤"}}'
let directory: string
let guide: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'uj-docs-'))
  guide = await readFile(resolve(import.meta.dirname, '../../docs/webhooks.md'), 'utf8')
})
afterAll(() => rm(directory, { recursive: true }))

function cases() {
  const [secret, other] = [newWebhookSecret(), newWebhookSecret()]
  const now = Math.floor(Date.now() / 1_000)
  const headers = (timestampSeconds: number, ...secrets: string[]) => ({
    'webhook-id': 'evt_1',
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signWebhook({ keys: secrets.map(signingKey), id: 'evt_1', timestampSeconds, body }),
  })
  const good = headers(now, secret)
  const without = (name: keyof typeof good) => ({ ...good, [name]: undefined })
  const odd = ['', ' ', 'v1', 'v1,', 'v1,é', 'é ²', `v1a,${good['webhook-signature'].slice(3)}`, 'v1,====', '\u0000']
  return [
    ...odd.map((signature) => ({ secret, headers: { ...good, 'webhook-signature': signature }, body, valid: false })),
    ...['', '²', '١٧٩٥', '-1', '1e9', '9'.repeat(400), 'é', `${now}.5`, ` ${now}`, `+${now}`].map((timestamp) => ({
      secret,
      headers: { ...good, 'webhook-timestamp': timestamp },
      body,
      valid: false,
    })),
    ...(['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const).map((name) => ({
      secret,
      headers: without(name),
      body,
      valid: false,
    })),
    { secret, headers: {}, body, valid: false },
    { secret, headers: { ...good, 'webhook-id': 'é' }, body, valid: false },
    { secret, headers: { ...good, 'webhook-signature': `v1,é ${good['webhook-signature']}` }, body, valid: true },
    { secret, headers: headers(now, secret), body, valid: true },
    { secret, headers: headers(now, other, secret), body, valid: true },
    { secret, headers: headers(now, other), body, valid: false },
    { secret, headers: headers(now, secret), body: `${body} `, valid: false },
    { secret, headers: headers(now - 600, secret), body, valid: false },
    { secret, headers: { ...headers(now, secret), 'webhook-timestamp': 'soon' }, body, valid: false },
  ]
}

/** JavaScript and Python are there wherever these tests run; the others are tried where they are installed. */
const languages = [
  {
    language: 'js',
    command: [process.execPath],
    file: 'verify.mjs',
    whole: (code: string) =>
      `${code}\nconst cases = JSON.parse(process.argv[2])\nconsole.log(JSON.stringify(cases.map((c) => verify(c.secret, c.headers, c.body))))\n`,
  },
  {
    language: 'python',
    command: ['python3'],
    file: 'verify.py',
    whole: (code: string) =>
      `${code}\nimport json, sys\nprint(json.dumps([verify(c["secret"], c["headers"], c["body"].encode()) for c in json.loads(sys.argv[1])]))\n`,
  },
  {
    language: 'go',
    command: ['go', 'run'],
    version: ['version'],
    file: 'verify.go',
    whole: (code: string) => `package main

${code.replace('import (', 'import (\n\t"encoding/json"\n\t"fmt"\n\t"os"')}
func main() {
	var cases []struct {
		Secret  string
		Headers map[string]string
		Body    string
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &cases); err != nil {
		panic(err)
	}
	results := []bool{}
	for _, each := range cases {
		header := http.Header{}
		for name, value := range each.Headers {
			header.Set(name, value)
		}
		results = append(results, Verify(each.Secret, header, []byte(each.Body)))
	}
	text, _ := json.Marshal(results)
	fmt.Println(string(text))
}
`,
  },
  {
    language: 'php',
    command: ['php'],
    file: 'verify.php',
    whole: (code: string) =>
      `<?php\nset_error_handler(fn($_, $text) => throw new Exception($text));\n${code}\necho json_encode(array_map(fn($c) => verify($c['secret'], $c['headers'], $c['body']), json_decode($argv[1], true)));\n`,
  },
].filter(
  ({ language, command: [program = ''], version = ['--version'] }) =>
    ['js', 'python'].includes(language) || spawnSync(program, version).status === 0,
)

function codeOf(language: string): string {
  const code = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(guide)?.[1]
  if (!code) throw new Error(`docs/webhooks.md has no ${language}`)
  return code
}

test.each(languages)('the $language code accepts what we sign and nothing else', async ({ language, command, file, whole }) => {
  const path = join(directory, file)
  await writeFile(path, whole(codeOf(language)))
  const given = cases()
  const [program = '', ...options] = command
  const { stdout } = await run(program, [...options, path, JSON.stringify(given)], {
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  })
  expect(JSON.parse(stdout)).toEqual(given.map((each) => each.valid))
})

test('the schedule in the text is the one in force', async () => {
  const { retryDelaysMs } = await import('../../src/webhooks/retry-schedule.ts')
  const said = ['5 s', '30 s', '2 min', '10 min', '1 h', '3 h', '8 h', '12 h']
  const units = { s: 1_000, min: 60_000, h: 3_600_000 }
  expect(guide).toContain(`${said.slice(0, -1).join(', ')} and ${said.at(-1)}`)
  expect(said.map((text) => Number.parseInt(text, 10) * units[text.split(' ')[1] as keyof typeof units])).toEqual(retryDelaysMs)
})
