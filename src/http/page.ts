// The few plain pages of the API process: one frame, no script, nothing from another host.
import type { RequestHandler } from 'express'
import helmet from 'helmet'
import { errorTable } from '../platform/errors.ts'

/** `Referrer-Policy: same-origin`, because without a referrer browsers hide the origin of a form as well. */
function pageHeaders(styles: string[], images: string[]): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: styles,
        imgSrc: images,
        fontSrc: ["'self'"],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    referrerPolicy: { policy: 'same-origin' },
    crossOriginEmbedderPolicy: false,
    strictTransportSecurity: false,
    xFrameOptions: { action: 'deny' },
  })
}

/** Pages of our own. */
export const strictPage = pageHeaders(["'self'"], ["'self'"])
/** Swagger UI and Bull Board set styles from their scripts. */
export const toolPage = pageHeaders(["'self'", "'unsafe-inline'"], ["'self'", 'data:'])

export const htmlType = 'text/html; charset=utf-8'

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/page.css">
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`
}

export const pageStyle = `:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem; }
label { display: block; font-weight: 600; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .25rem 0 1rem; }
button { font: inherit; padding: .5rem 1.25rem; cursor: pointer; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884; }
.fault { border-left: 4px solid #c33; padding-left: .75rem; }
`

export function landingPage(version: string): string {
  return page(
    'Ujumbe',
    `<h1>Ujumbe</h1>
<p>WhatsApp over HTTP, version ${escapeHtml(version)}. This process is running.</p>
<ul>
<li><a href="/docs">API reference</a></li>
<li><a href="/docs/errors">Error codes</a></li>
<li><a href="/queues">Queues</a> (with an admin key)</li>
<li><a href="/sign-in">Sign in</a></li>
</ul>`,
  )
}

const signInFaults = {
  wrong: 'This is not the admin key.',
  wait: 'Too many wrong keys. Wait a minute.',
} as const
export type SignInFault = keyof typeof signInFaults

export function signInPage(next: string, fault: SignInFault | undefined): string {
  return page(
    'Sign in · Ujumbe',
    `<h1>Sign in</h1>
${fault ? `<p class="fault" role="alert">${signInFaults[fault]}</p>` : ''}
<form method="post" action="/sign-in">
<label for="key">Admin key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus maxlength="200">
<input type="hidden" name="next" value="${escapeHtml(next)}">
<button type="submit">Sign in</button>
</form>`,
  )
}

export function errorsPage(): string {
  const rows = Object.entries(errorTable).map(
    ([code, rule]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${rule.status}</td><td>${rule.retryable ? 'yes' : 'no'}</td><td>${escapeHtml(rule.title)}</td></tr>`,
  )
  return page(
    'Error codes · Ujumbe',
    `<h1>Error codes</h1>
<p>Every error is a problem (RFC 9457) with one of these in <code>code</code>. Messages that failed carry one in <code>error.code</code>.</p>
<table><thead><tr><th>Code</th><th>Status</th><th>Retry helps</th><th>Meaning</th></tr></thead><tbody>
${rows.join('\n')}
</tbody></table>`,
  )
}

export function docsPage(): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API reference · Ujumbe</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
`
}

/** No validator badge: it would ask another host. */
export const docsScript = `SwaggerUIBundle({
  url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null, tryItOutEnabled: true,
  persistAuthorization: false, presets: [SwaggerUIBundle.presets.apis],
})
`
