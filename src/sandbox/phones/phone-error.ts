// What a person's request to a phone can fail with: one table code → HTTP status and title.

export const phoneErrors = {
  phone_exists: { status: 409, title: 'There is a phone with this number already.' },
  too_many_phones: { status: 409, title: 'The sandbox has as many phones as it can hold.' },
  phone_not_found: { status: 404, title: 'There is no phone with this number.' },
  message_not_found: { status: 404, title: 'The phone shows no such message.' },
  recipient_not_on_whatsapp: { status: 404, title: 'The number is not on WhatsApp: add a phone for it first.' },
  device_not_found: { status: 404, title: 'This account has no such linked device.' },
  qr_malformed: { status: 400, title: 'This is not the text of a linking QR code.' },
  qr_unknown: { status: 404, title: 'No client shows this QR code now. It may have expired: take the newest one.' },
  qr_mismatch: { status: 409, title: 'The QR code names other keys than the client that waits with it.' },
  code_malformed: { status: 400, title: 'A pairing code has eight letters or digits.' },
  code_unknown: { status: 404, title: 'No client waits for a code of this phone. Ask for a new code.' },
  wrong_code: { status: 422, title: 'This is not the code that the client shows. Nothing was linked.' },
  linking_failed: { status: 409, title: 'The client did not finish the linking.' },
  encryption_failed: { status: 409, title: 'The message could not be encrypted for any device of the recipient.' },
} as const satisfies Record<string, { status: number; title: string }>

export type PhoneErrorCode = keyof typeof phoneErrors

/** An expected failure; the message is for the person at the phone. */
export class PhoneError extends Error {
  readonly code: PhoneErrorCode

  constructor(code: PhoneErrorCode, detail?: string, cause?: unknown) {
    super(detail ?? phoneErrors[code].title, cause === undefined ? undefined : { cause })
    this.name = 'PhoneError'
    this.code = code
  }
}
