// Small helpers to make and fill elements; text is always text, never markup.

/**
 * @param {string} tag
 * @param {Record<string, string | number | boolean | EventListener | undefined>} attributes `class`, `data-…`, listeners as `onclick`; false and undefined leave one out.
 * @param {(Node | string)[]} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined) continue
    if (typeof value === 'function') made.addEventListener(name.slice(2), value)
    else made.setAttribute(name, value === true ? '' : String(value))
  }
  made.append(...children)
  return made
}

const filled = new WeakMap()

/** Replaces the children only when what they show has changed, so that focus and selection survive. */
export function fill(parent, shown, make) {
  const key = JSON.stringify(shown)
  if (filled.get(parent) === key) return false
  filled.set(parent, key)
  parent.replaceChildren(...make())
  return true
}

export function byId(id) {
  const found = document.getElementById(id)
  if (!found) throw new Error(`The page lacks #${id}`)
  return found
}

/** Submits by `send(fields)`; a failure is shown in the form, success empties it when asked to. */
export function onSubmit(form, { send, clears = true }) {
  const problem = form.querySelector('.problem')
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (!form.reportValidity()) return
    const button = form.querySelector('button')
    button.disabled = true
    problem.textContent = ''
    try {
      await send(new FormData(form))
      if (clears) form.reset()
    } catch (error) {
      problem.textContent = error.message
    } finally {
      button.disabled = false
    }
  })
}
