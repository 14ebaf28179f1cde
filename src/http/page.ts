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

/** Pages of our own. Pictures of the dashboard, such as a QR code, are made in the page itself. */
export const strictPage = pageHeaders(["'self'"], ["'self'", 'data:'])
/** Swagger UI and Bull Board set styles from their scripts. */
export const toolPage = pageHeaders(["'self'", "'unsafe-inline'"], ["'self'", 'data:'])

export const htmlType = 'text/html; charset=utf-8'

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

/** Where a page names none, browsers ask for /favicon.ico. */
const icon = `<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#0a6b52" d="M8 3h16a6 6 0 0 1 6 6v9a6 6 0 0 1-6 6h-8.5L8 30v-6a6 6 0 0 1-6-6V9a6 6 0 0 1 6-6Z"/></svg>',
)}">`

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
${icon}
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

/** The look of the dashboard, in short. */
export const pageStyle = `:root { color-scheme: light dark; --line: light-dark(#e0ddd4, #2f383d); --accent: light-dark(#0a6b52, #4cc9a2); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: light-dark(#f5f4f0, #121618); color: light-dark(#1b211e, #e6eae8); }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.5rem; }
a { color: var(--accent); }
form { max-width: 24rem; margin: 10vh auto 0; padding: 2rem; background: light-dark(#fff, #1a2023); border: 1px solid var(--line); border-radius: 10px; }
form h1 { margin-top: 0; }
label { display: block; font-weight: 500; }
input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .75rem; border-radius: 8px; border: 1px solid light-dark(#8b8b80, #67757b); }
input { margin: .25rem 0 1rem; background: light-dark(#fff, #1a2023); color: inherit; }
button { cursor: pointer; font-weight: 500; background: var(--accent); border-color: var(--accent); color: light-dark(#fff, #05241b); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
.fault { border-left: 3px solid light-dark(#b0261e, #ff938a); padding-left: .75rem; color: light-dark(#b0261e, #ff938a); }
`

/** Where the dashboard is not built. */
export function landingPage(version: string): string {
  return page(
    'Ujumbe',
    `<h1>Ujumbe</h1>
<p>WhatsApp over HTTP, version ${escapeHtml(version)}. This process is running.</p>
<p>The dashboard is not built here. <code>npm install</code> builds it, and so does <code>npm run prepare</code>.</p>
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
    `<form method="post" action="/sign-in">
<h1>Sign in to Ujumbe</h1>
${fault ? `<p class="fault" role="alert">${signInFaults[fault]}</p>` : ''}
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
${icon}
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
