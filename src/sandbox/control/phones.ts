// `/phones`: adding phones, listing them, linking clients to them and removing those.
import { z } from 'zod'
import { isoTime } from '../../platform/clock.ts'
import type { SandboxNetwork } from '../device.ts'
import type { Phone } from '../phones/phone.ts'
import type { PhoneBook } from '../phones/phone-book.ts'
import { PhoneError } from '../phones/phone-error.ts'
import { phoneNumberSchema } from './phone-number.ts'
import { parse, readBody } from './request.ts'
import type { ControlRequest, Route } from './router.ts'

const name = z.string().trim().min(1).max(100)
/** `true` answers with the text it got. */
const autoReply = z.union([z.boolean(), z.string().min(1).max(4_000)]).transform((value) => {
  if (value === true) return 'You wrote: {text}'
  return value === false ? undefined : value
})
const newPhoneSchema = z.strictObject({
  phoneNumber: phoneNumberSchema,
  name: name.optional(),
  autoRead: z.boolean().default(false),
  autoReply: autoReply.optional(),
})
const changeSchema = z.strictObject({ name, autoRead: z.boolean(), autoReply: autoReply.nullable() }).partial()
const listSchema = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(1_000),
  offset: z.coerce.number().int().min(0).default(0),
})
const scanSchema = z.strictObject({ qr: z.string().min(1).max(4_000) })
const codeSchema = z.strictObject({ code: z.string().min(1).max(40) })
const unlinkSchema = z.strictObject({ deviceJid: z.string().max(60).optional() })

export interface PhoneRouteDeps {
  phones: PhoneBook
  network: SandboxNetwork
}

export function phoneRoutes({ phones, network }: PhoneRouteDeps): Route[] {
  const present = (phone: Phone) => presentPhone(phone, network)
  return [
    {
      method: 'POST',
      path: '/phones',
      handle: async ({ raw }) => {
        const { phoneNumber, name, autoRead, autoReply } = await readBody(raw, newPhoneSchema)
        const phone = phones.create({ phoneNumber, ...(name ? { name } : {}), settings: { autoRead, autoReply } })
        return { status: 201, body: present(phone) }
      },
    },
    {
      method: 'GET',
      path: '/phones',
      handle: ({ query }) => {
        const { limit, offset } = parse(listSchema, Object.fromEntries(query))
        return {
          status: 200,
          body: phones
            .list()
            .slice(offset, offset + limit)
            .map(present),
        }
      },
    },
    {
      method: 'GET',
      path: '/phones/{phoneNumber}',
      handle: (request) => ({ status: 200, body: present(phoneOf(phones, request)) }),
    },
    {
      method: 'PATCH',
      path: '/phones/{phoneNumber}',
      handle: async (request) => {
        const phone = phoneOf(phones, request)
        const { name, autoRead, autoReply } = await readBody(request.raw, changeSchema)
        if (name !== undefined) phone.account.name = name
        if (autoRead !== undefined) phone.settings.autoRead = autoRead
        if (autoReply !== undefined) phone.settings.autoReply = autoReply ?? undefined
        network.changed()
        return { status: 200, body: present(phone) }
      },
    },
    {
      method: 'POST',
      path: '/phones/{phoneNumber}/scan',
      handle: async (request) => {
        const phone = phoneOf(phones, request)
        const { qr } = await readBody(request.raw, scanSchema)
        return { status: 200, body: await phone.scan(qr) }
      },
    },
    {
      method: 'POST',
      path: '/phones/{phoneNumber}/enter-code',
      handle: async (request) => {
        const phone = phoneOf(phones, request)
        const { code } = await readBody(request.raw, codeSchema)
        return { status: 200, body: await phone.enterCode(code) }
      },
    },
    {
      method: 'POST',
      path: '/phones/{phoneNumber}/unlink',
      handle: async (request) => {
        const phone = phoneOf(phones, request)
        const { deviceJid } = await readBody(request.raw, unlinkSchema)
        const linked = linkedDevices(phone, network)
        const unlinked = deviceJid === undefined ? linked : linked.filter((jid) => jid === deviceJid)
        if (unlinked.length === 0) throw new PhoneError('device_not_found')
        const lost = network.unlink(phone.account, deviceJid)
        return { status: 200, body: { unlinked, lost } }
      },
    },
  ]
}

/** @throws PhoneError `phone_not_found` */
export function phoneOf(phones: PhoneBook, { params }: ControlRequest): Phone {
  const digits = (params['phoneNumber'] ?? '').replace(/^\+/, '')
  const phone = phones.find(digits)
  if (!phone) throw new PhoneError('phone_not_found')
  return phone
}

function presentPhone(phone: Phone, network: SandboxNetwork) {
  const { account, settings, chats } = phone
  return {
    phoneNumber: account.phoneNumber,
    lid: account.lid,
    name: account.name,
    autoRead: settings.autoRead,
    autoReply: settings.autoReply ?? null,
    linkedDevices: linkedDevices(phone, network),
    unread: chats.unreadCount,
    /** Arrived, not yet decrypted, asked for again. */
    waiting: chats.waitingCount,
    counts: chats.counts,
    /** Who was seen typing, the last twenty times; `endedAt` null: now. */
    typing: phone.typing.list().map(({ from, at, endedAt }) => ({
      from,
      at: isoTime(at),
      endedAt: endedAt === null ? null : isoTime(endedAt),
    })),
  }
}

function linkedDevices(phone: Phone, network: SandboxNetwork): string[] {
  return network.devicesOf(phone.account.phoneNumber).filter((jid) => jid.includes(':'))
}
