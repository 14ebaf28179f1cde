// A secret that is shown once, with a button to copy it.
import { useState } from 'preact/hooks'
import { notify } from './notice.tsx'

export function Secret({ label, value }: { label: string; value: string }) {
  return (
    <label>
      {label}
      <span class="secret">
        <input readOnly value={value} onFocus={(event) => event.currentTarget.select()} spellcheck={false} />
        <CopyButton text={value} what={label} />
      </span>
    </label>
  )
}

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setCopied(true)
      setTimeout(() => setCopied(false), 2_000)
      notify(`${what} copied`)
    } catch {
      notify('The browser does not allow copying here. Select the text and copy it.')
    }
  }
  return (
    <button type="button" class="secondary" aria-label={`Copy ${what}`} onClick={() => void copy()}>
      {isCopied ? 'Copied' : 'Copy'}
    </button>
  )
}
