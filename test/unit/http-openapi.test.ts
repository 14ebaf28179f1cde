// The OpenAPI document: complete, consistent in itself, and made from the table.
import { describe, expect, test } from 'vitest'
import { createOpenApiDocument } from '../../src/http/openapi.ts'
import { pathsOf } from '../../src/http/route.ts'
import { routeTable } from '../../src/http/route-table.ts'

interface Operation {
  operationId: string
  parameters?: { name: string; in: string; required?: boolean }[]
  responses: Record<string, { description: string; content?: Record<string, { schema?: unknown }> }>
  security: unknown[]
}

const document = JSON.parse(JSON.stringify(createOpenApiDocument(routeTable, '1.2.3'))) as {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> }
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, method, operation })),
)

test('covers every path of every route, and nothing else', () => {
  const expected = routeTable.flatMap((route) => pathsOf(route).map((path) => `${route.method} ${path}`))
  expect(operations.map(({ name }) => name).toSorted()).toEqual(expected.toSorted())
  expect(document.openapi).toBe('3.1.0')
})

test('names each operation once', () => {
  const ids = operations.map(({ operation }) => operation.operationId)
  expect(new Set(ids).size).toBe(ids.length)
})

test('every reference leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target ?? '')
  expect(references.length).toBeGreaterThan(50)
  for (const reference of references) {
    const found = reference
      .replace('#/', '')
      .split('/')
      .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document)
    expect(found, reference).toBeDefined()
  }
})

describe('operations', () => {
  test.each(operations)('$name declares its path parameters, its answers and who may call it', ({ name, path, operation }) => {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '')
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
    expect(declared.map(({ name }) => name).toSorted()).toEqual(inPath.toSorted())
    expect(declared.every(({ required }) => required)).toBe(true)
    for (const [status, answer] of Object.entries(operation.responses)) {
      expect(status).toMatch(/^[2-5]\d\d$/)
      expect(answer.description).not.toBe('')
      const types = Object.keys(answer.content ?? {})
      expect(Number(status) < 400 || types[0] === 'application/problem+json').toBe(true)
    }
    const isOpen = operation.security.length === 0
    expect(Object.keys(operation.responses).includes('401')).toBe(!isOpen || name === 'post /sign-in')
  })
})

test('schemes that operations name are declared', () => {
  const named = operations.flatMap(({ operation }) => operation.security.flatMap((entry) => Object.keys(entry as object)))
  expect(Object.keys(document.components.securitySchemes)).toEqual(expect.arrayContaining([...new Set(named)]))
})
