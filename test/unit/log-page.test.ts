// Pages of the event log: whatever restores have left out of it, a reader gets all that is there and is told of each gap.
import { expect, test } from 'vitest'
import { pageOfLog } from '../../src/store/log-page.ts'

const step = 100
const log = [1, 2, 3, 101, 301, 302]
const newest = 400

function page(after: number | undefined, sweptTo = 0) {
  const found = log.filter((place) => place > (after ?? 0)).slice(0, 3)
  return pageOfLog({ found, place: (row) => row, after, newest, sweptTo, limit: 2, step })
}

test('a page ends before a gap, and the next one tells of it', () => {
  expect(page(undefined)).toEqual({ rows: [1, 2], next: '2', hasMore: true, oldestPlace: null })
  expect(page(2)).toEqual({ rows: [3], next: '3', hasMore: true, oldestPlace: null })
  for (const place of [3, 42, 99]) {
    expect(page(place)).toEqual({ rows: [101], next: '101', hasMore: true, oldestPlace: '100' })
  }
  expect(page(100)).toEqual({ rows: [101], next: '101', hasMore: true, oldestPlace: null })
})

test('two restores with nothing in between are one gap, and so is one that nothing has followed yet', () => {
  expect(page(101)).toEqual({ rows: [301, 302], next: '302', hasMore: true, oldestPlace: '300' })
  expect(page(302)).toEqual({ rows: [], next: '400', hasMore: false, oldestPlace: '400' })
  expect(page(400)).toEqual({ rows: [], next: '400', hasMore: false, oldestPlace: null })
})

test('what was swept and what a restore left out are told of at once', () => {
  expect(page(1, 2)).toMatchObject({ oldestPlace: '2' })
  expect(page(3, 50)).toMatchObject({ oldestPlace: '100' })
  expect(pageOfLog({ found: [], place: Number, after: undefined, newest, sweptTo: 400, limit: 2, step })).toEqual({
    rows: [],
    next: '400',
    hasMore: false,
    oldestPlace: null,
  })
})
