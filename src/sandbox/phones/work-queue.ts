// One line of work for all phones of the process: in order, one at a time, never holding the event loop for long.

/** Milliseconds of work before sockets and timers get their turn: Signal work is pure CPU and would starve them. */
const sliceMs = 8

interface Task {
  run: () => Promise<void> | void
  failed: (error: unknown) => void
}

export class WorkQueue {
  #tasks: Task[] = []
  #running = false

  /** `failed` is told about an error; the line goes on with the next task. */
  push(run: () => Promise<void> | void, failed: (error: unknown) => void): void {
    this.#tasks.push({ run, failed })
    if (this.#running) return
    this.#running = true
    setImmediate(() => void this.#drain())
  }

  /** Resolves with the task's result, when its turn has come and it is done. */
  async run<T>(task: () => Promise<T> | T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.push(async () => resolve(await task()), reject)
    })
  }

  async #drain(): Promise<void> {
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks
      this.#tasks = []
      let sliceEndsAt = performance.now() + sliceMs
      for (const task of tasks) {
        try {
          await task.run()
        } catch (error) {
          task.failed(error)
        }
        if (performance.now() > sliceEndsAt) {
          await new Promise((resolve) => setImmediate(resolve))
          sliceEndsAt = performance.now() + sliceMs
        }
      }
    }
    this.#running = false
  }
}
