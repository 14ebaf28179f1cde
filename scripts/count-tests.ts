// Reads vitest's JSON report and closes a CI run: a skip counts as a failure, and so does a run that never reported.
import { readFileSync } from 'node:fs'

const [reportPath = '', exitCode = '1'] = process.argv.slice(2)

interface Report {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numTodoTests: number
  testResults: { name: string; status: string; assertionResults: { status: string; fullName: string }[] }[]
}

function read(): Report | undefined {
  try {
    return JSON.parse(readFileSync(reportPath, 'utf8')) as Report
  } catch {
    return undefined
  }
}

const report = read()
const skipped = report
  ? report.testResults.flatMap((file) =>
      file.assertionResults.filter((test) => test.status !== 'passed' && test.status !== 'failed'),
    )
  : []
const brokenFiles = report
  ? report.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
    )
  : []
for (const test of skipped) console.log(`skipped: ${test.fullName}`)
for (const file of brokenFiles) console.log(`did not run: ${file.name}`)

const passed = report?.numPassedTests ?? 0
const counted = (report?.numFailedTests ?? 0) + skipped.length + brokenFiles.length
const failed = counted === 0 && exitCode !== '0' ? 1 : counted
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)
