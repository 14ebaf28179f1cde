// Watches the order of numbered messages: a text may end in a marker `#<n>` that rises with every message of its sender.

/**
 * The last `#<n>` in the text, at most 15 digits. Markers are how tests and the demo make order visible: whoever sends numbered
 * messages must number them upwards per sender and chat, and reset the sandbox before numbering anew.
 */
export function orderMarker(text: string): number | undefined {
  const marker = text
    .matchAll(/#(\d{1,15})(?!\d)/g)
    .toArray()
    .at(-1)?.[1]
  return marker === undefined ? undefined : Number(marker)
}

/** Highest marker per sender and chat; a lower one that arrives later is a violation. */
export class OrderWatch {
  #highest = new Map<string, number>()

  highest(lane: string): number | undefined {
    return this.#highest.get(lane)
  }

  /** True when `marker` is lower than one seen before it. */
  isLate(lane: string, marker: number): boolean {
    const highest = this.#highest.get(lane)
    if (highest !== undefined && marker < highest) return true
    this.#highest.set(lane, marker)
    return false
  }
}
