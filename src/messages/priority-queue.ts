// A binary heap: what comes first by `compare` is taken first.

export class PriorityQueue<T> {
  readonly #items: T[] = []
  readonly #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#isOrdered(parent, at)) return
      this.#swap(parent, at)
      at = parent
    }
  }

  pop(): T | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (items.length === 0 || last === undefined) return first
    items[0] = last
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < items.length && !this.#isOrdered(least, left)) least = left
      if (right < items.length && !this.#isOrdered(least, right)) least = right
      if (least === at) return first
      this.#swap(at, least)
      at = least
    }
  }

  #isOrdered(a: number, b: number): boolean {
    return this.#compare(this.#items[a] as T, this.#items[b] as T) <= 0
  }

  #swap(a: number, b: number): void {
    const items = this.#items
    ;[items[a], items[b]] = [items[b] as T, items[a] as T]
  }
}
