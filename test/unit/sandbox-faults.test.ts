// Which faults stand for whom, how often they happen, and what is no fault at all.
import { describe, expect, it } from 'vitest'
import { Faults, faultSchema, type FaultInput } from '../../src/sandbox/server/faults.ts'

const fault = (input: FaultInput) => faultSchema.parse(input)
const shop = '254711000001'
const asha = '254711000002'

describe('faults', () => {
  it('concern everybody, or the sessions that are named', () => {
    const faults = new Faults()
    faults.set(fault({ kind: 'drop_acks', sessions: [shop] }))
    expect(faults.take('drop_acks', shop)).toBeDefined()
    expect(faults.take('drop_acks', asha)).toBeUndefined()
    expect(faults.take('drop_acks', undefined)).toBeUndefined()
    faults.set(fault({ kind: 'drop_acks' }))
    expect(faults.take('drop_acks', undefined)).toBeDefined()
    expect(faults.take('ack_error', shop)).toBeUndefined()
  })

  it('of one kind and scope replace each other; the latest of several that apply counts', () => {
    const faults = new Faults()
    faults.set(fault({ kind: 'ack_error', code: 479 }))
    faults.set(fault({ kind: 'ack_error', code: 500 }))
    expect(faults.list()).toMatchObject([{ code: 500 }])
    faults.set(fault({ kind: 'ack_error', code: 463, sessions: [shop] }))
    expect(faults.take('ack_error', shop)?.code).toBe(463)
    expect(faults.take('ack_error', asha)?.code).toBe(500)
  })

  it('with a count end by themselves', () => {
    const faults = new Faults()
    faults.set(fault({ kind: 'ack_error', code: 479, count: 2 }))
    const taken = [1, 2, 3].map(() => faults.take('ack_error', shop)?.code)
    expect(taken).toEqual([479, 479, undefined])
    expect(faults.list()).toEqual([])
  })

  it('that restrict end at their time, given as ISO-8601 or in milliseconds', () => {
    const faults = new Faults()
    faults.set(fault({ kind: 'restrict', until: new Date(Date.now() + 60_000).toISOString() }))
    expect(faults.take('restrict', shop)).toBeDefined()
    faults.set(fault({ kind: 'restrict', until: Date.now() - 1 }))
    expect(faults.take('restrict', shop)).toBeUndefined()
    expect(faults.list()).toEqual([])
  })

  it('strike at once without standing, and tell the server of every change', () => {
    const told: string[] = []
    const faults = new Faults()
    faults.attach({
      strike: ({ kind }, phoneNumbers) => told.push(`${kind} ${phoneNumbers ? [...phoneNumbers].join() : 'all'}`),
      reconsider: (standing) => told.push(standing?.kind ?? 'cleared'),
    })
    faults.set(fault({ kind: 'reset', sessions: [shop] }))
    faults.set(fault({ kind: 'stall' }))
    faults.clear()
    expect(told).toEqual([`reset ${shop}`, 'stall', 'cleared'])
    expect(faults.list()).toEqual([])
  })

  it.each([
    {},
    { kind: 'flood' },
    { kind: 'ack_error' },
    { kind: 'ack_error', code: 'x' },
    { kind: 'latency', ms: -1 },
    { kind: 'latency', ms: 5, jitterMs: Number.NaN },
    { kind: 'restrict' },
    { kind: 'restrict', until: 'tomorrow' },
    { kind: 'close', sessions: [] },
    { kind: 'close', sessions: ['+254711000001'] },
    { kind: 'close', sessions: 'some' },
    { kind: 'close', extra: 1 },
    { kind: 'drop_acks', count: 0 },
  ])('%j is none', (input) => {
    expect(faultSchema.safeParse(input).success).toBe(false)
  })
})
