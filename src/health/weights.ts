// The weights of the health score as data: what costs how many points, and how it is said. docs/health.md is made from it.
import type { HealthSignals } from './signals.ts'

interface Weight {
  /** Stable; in the API as a reason's `code`. */
  code: string
  /** One sentence for the documentation. */
  meaning: string
  /** What the curve's first column counts. */
  unit: string
  /** From the signal's value to points, straight between the given pairs and level outside of them. Both only rise. */
  curve: readonly (readonly [value: number, points: number])[]
  /** What the curve is asked about; null: nothing is known, nothing is lost. */
  value(signals: HealthSignals): number | null
  text(signals: HealthSignals): string
}

const is = (truth: boolean) => (truth ? 1 : 0)
const anyState = [
  [0, 0],
  [1, 100],
] as const

/** The first are the gravest: where more than 100 points would be lost, they take theirs first. */
export const weights: readonly Weight[] = [
  {
    code: 'logged_out',
    meaning:
      'The session is logged out: the phone removed it, WhatsApp refused it, or you asked for it. It must be paired again.',
    unit: 'logged out',
    curve: anyState,
    value: ({ state }) => is(state === 'logged_out'),
    text: ({ statusReason }) => `Logged out (${statusReason ?? 'no reason given'}). Pair it again.`,
  },
  {
    code: 'given_up',
    meaning: 'The session was given up, for the reason in `statusReason`: it will not come back by itself.',
    unit: 'given up',
    curve: anyState,
    value: ({ state, statusReason }) => is(state === 'disconnected' && statusReason !== 'requested'),
    text: ({ statusReason }) => `Disconnected and given up (${statusReason ?? 'no reason given'}).`,
  },
  {
    code: 'disconnected',
    meaning: 'Disconnected because you asked for it.',
    unit: 'disconnected',
    curve: [
      [0, 0],
      [1, 40],
    ],
    value: ({ state, statusReason }) => is(state === 'disconnected' && statusReason === 'requested'),
    text: () => 'Disconnected on request.',
  },
  {
    code: 'not_paired',
    meaning: 'Nobody has scanned the QR code or typed the pairing code yet.',
    unit: 'not paired',
    curve: [
      [0, 0],
      [1, 40],
    ],
    value: ({ state }) => is(state === 'pending' || state === 'pairing'),
    text: () => 'Waiting to be paired.',
  },
  {
    code: 'not_connected',
    meaning: 'It should be connected and is not. A short gap costs nothing: reconnecting is normal.',
    unit: 'seconds without a connection',
    curve: [
      [20, 0],
      [40, 26],
      [120, 50],
      [300, 65],
      [900, 80],
    ],
    value: ({ notConnectedSeconds }) => notConnectedSeconds,
    text: ({ notConnectedSeconds, isHeld }) =>
      `Not connected for ${duration(notConnectedSeconds)}${isHeld ? '' : '; no worker reports it'}.`,
  },
  {
    code: 'acks_missing',
    meaning: 'WhatsApp answers, but acknowledges nothing that is sent, however often the socket is replaced.',
    unit: 'seconds without an acknowledgement',
    curve: [
      [8, 0],
      [20, 22],
      [40, 50],
      [60, 70],
      [300, 80],
    ],
    value: ({ unackedSeconds }) => unackedSeconds,
    text: ({ unackedSeconds, unackedReconnects }) =>
      `WhatsApp has acknowledged nothing for ${duration(unackedSeconds)}${unackedReconnects > 0 ? `, over ${count(unackedReconnects, 'reconnect')}` : ''}.`,
  },
  {
    code: 'reconnects',
    meaning:
      'The connection was lost and made again. Counted over the last hour; what is older than ten minutes fades. Outages of the whole network are left out.',
    unit: 'reconnects',
    curve: [
      [0, 0],
      [1, 3],
      [2, 9],
      [3, 20],
      [4, 31],
      [6, 34],
      [12, 36],
    ],
    value: ({ recentReconnects }) => recentReconnects,
    text: ({ recentReconnects }) =>
      recentReconnects <= 1
        ? 'Lost its connection lately.'
        : `Lost its connection again and again (${Math.round(recentReconnects)} times lately).`,
  },
  {
    code: 'heartbeat_late',
    meaning: 'WhatsApp has sent nothing, not even the answer to a ping.',
    unit: 'seconds since WhatsApp was heard',
    curve: [
      [45, 0],
      [90, 20],
      [180, 35],
    ],
    value: ({ heartbeatAgeSeconds }) => heartbeatAgeSeconds,
    text: ({ heartbeatAgeSeconds }) => `Nothing heard from WhatsApp for ${duration(heartbeatAgeSeconds ?? 0)}.`,
  },
  {
    code: 'silent',
    meaning: 'No event for long while heartbeats are late too. Silence alone costs nothing: quiet at night is not ill.',
    unit: 'seconds since the last event',
    curve: [
      [300, 0],
      [3_600, 5],
    ],
    value: ({ heartbeatAgeSeconds, secondsSinceLastEvent }) =>
      heartbeatAgeSeconds !== null && heartbeatAgeSeconds > 45 ? secondsSinceLastEvent : null,
    text: ({ secondsSinceLastEvent }) => `Nothing has happened for ${duration(secondsSinceLastEvent ?? 0)}.`,
  },
  {
    code: 'undelivered',
    meaning:
      'Messages that WhatsApp acknowledged more than two minutes ago are not delivered. Some phones are always off, so one in five may be missing. What goes to groups or to yourself does not count.',
    unit: 'percent not delivered',
    curve: [
      [20, 0],
      [60, 15],
      [100, 25],
    ],
    value: ({ deliveryRate }) => (deliveryRate === null ? null : (1 - deliveryRate) * 100),
    text: ({ deliveryRate }) => `Only ${Math.round((deliveryRate ?? 0) * 100)} % of what was sent is delivered.`,
  },
  {
    code: 'queue_stalled',
    meaning: 'Messages wait that may leave, and none leaves. What pacing holds back does not count.',
    unit: 'seconds without progress',
    curve: [
      [0, 0],
      [120, 12],
      [600, 25],
    ],
    value: ({ stalledSeconds }) => stalledSeconds,
    text: ({ stalledSeconds, queueDepth }) =>
      `${count(queueDepth, 'message')} waiting, none has left for ${duration(stalledSeconds)}.`,
  },
  {
    code: 'restricted',
    meaning: 'WhatsApp does not let the account write to new contacts (463). Replies still go.',
    unit: 'restricted',
    curve: [
      [0, 0],
      [1, 15],
    ],
    value: ({ isRestricted }) => is(isRestricted),
    text: () => 'WhatsApp restricts writing to new contacts.',
  },
  {
    code: 'acks_slow',
    meaning: 'WhatsApp takes long to acknowledge messages.',
    unit: 'milliseconds until the acknowledgement (95th percentile)',
    curve: [
      [3_000, 0],
      [6_000, 6],
      [20_000, 18],
    ],
    value: ({ ackLatencyMsP95 }) => ackLatencyMsP95,
    text: ({ ackLatencyMsP95 }) => `Acknowledgements take up to ${((ackLatencyMsP95 ?? 0) / 1_000).toFixed(1)} s.`,
  },
  {
    code: 'downtime',
    meaning: 'Time in the last hour that it should have been connected and was not.',
    unit: 'seconds in the last hour',
    curve: [
      [60, 0],
      [300, 4],
      [1_800, 18],
      [3_600, 25],
    ],
    value: ({ downSeconds }) => downSeconds,
    text: ({ downSeconds }) => `Was not connected for ${duration(downSeconds)} of the last hour.`,
  },
]

/** To fall below `floor` ends a level, to reach `entry` begins it; in between it stays what it was. */
export const levels = [
  { level: 'healthy', entry: 80, floor: 75 },
  { level: 'recovering', entry: 50, floor: 45 },
  { level: 'critical', entry: 0, floor: 0 },
] as const
export type HealthLevel = (typeof levels)[number]['level']

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`
}
