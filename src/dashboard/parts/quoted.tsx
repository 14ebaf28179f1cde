// What somebody else wrote, as long as it is: what does not fit its box scrolls, also by keyboard.

export function Quote({ text }: { text: string | undefined }) {
  return (
    <blockquote tabIndex={0} aria-label="Text of the message">
      {text}
    </blockquote>
  )
}

export function AnswerText({ text }: { text: string }) {
  return (
    <pre class="answered" tabIndex={0} role="group" aria-label="Text of the answer">
      {text}
    </pre>
  )
}
