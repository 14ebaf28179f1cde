// What a new owner sees: nothing is wrong, and what to do next.

const steps = [
  ['Make a session', 'A session is one WhatsApp number. It gets its own API key, shown once.'],
  ['Link your phone', 'Scan a QR code with WhatsApp (Settings → Linked devices), or type a pairing code.'],
  ['Send a message', 'From here to try it, then over HTTP from your own program.'],
] as const

export function FirstRun({ onStart }: { onStart: () => void }) {
  return (
    <section class="first-run" aria-labelledby="first-run-title">
      <h2 id="first-run-title">Connect your first WhatsApp number</h2>
      <ol>
        {steps.map(([title, text]) => (
          <li key={title}>
            <strong>{title}</strong>
            <span>{text}</span>
          </li>
        ))}
      </ol>
      <p>
        <button type="button" onClick={onStart}>
          Make a session
        </button>
      </p>
      <p class="help">
        No number at hand? <code>npm run demo</code> brings simulated phones. The whole API is in{' '}
        <a href="/docs">the reference</a>.
      </p>
    </section>
  )
}
