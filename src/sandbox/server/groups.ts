// Groups: a subject and members. No pictures, invitations or settings.
export interface Group {
  readonly id: string
  readonly creator: string
  readonly createdAtSeconds: number
  subject: string
  /** Phone number → whether an admin. */
  readonly members: Map<string, boolean>
}

export class Groups {
  readonly #byId = new Map<string, Group>()
  #last = 0

  create(subject: string, creator: string, members: string[]): Group {
    // Ids look like WhatsApp's: 18 digits that begin with 120363.
    this.#last = Math.max(this.#last + 1, Date.now() % 1e12)
    const id = `120363${String(this.#last).padStart(12, '0')}`
    const all = new Map([creator, ...members].map((number) => [number, number === creator]))
    const group = { id, creator, createdAtSeconds: Math.floor(Date.now() / 1000), subject, members: all }
    this.#byId.set(id, group)
    return group
  }

  restore(group: Group): void {
    this.#byId.set(group.id, group)
  }

  find(id: string): Group | undefined {
    return this.#byId.get(id)
  }

  all(): IterableIterator<Group> {
    return this.#byId.values()
  }

  clear(): void {
    this.#byId.clear()
  }
}
