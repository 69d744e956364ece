// Reconciling a lane as docs/spec/06-sync.md has it: messages of ranges, and one side of
// an exchange. Keys are the hexadecimal of 40 bytes, whose order is that of the bytes; a
// bound is the beginning of one, and END is above all. Knows no frame and no op.
import { blake2b } from '@noble/hashes/blake2.js'

import { ascii, hex, joined, refuse, unhex } from './cbor.mjs'
import { sha256 } from './records.mjs'

export const END = 'g'
const [SKIP, PRINT, LIST, WANT] = [0, 1, 2, 3]
const PARTS = 16
const LISTED = 32
const NEWEST = 64
const LISTED_BY_PEER_MAX = 1024
const WANTED_FROM_MAX = 96
const RANGES_MAX = 8192
const ANSWER_BYTES_MAX = 195_584
const ANSWER_RANGES_MAX = 8160
const SHORT_BYTES = 8

export function keyed (data, size, key, text) {
  const personalization = new Uint8Array(16)
  personalization.set(ascii(text))
  return blake2b(data, { dkLen: size, key, personalization })
}

export function varint (number) {
  let rest = BigInt(number)
  const digits = [Number(rest & 127n)]
  while ((rest >>= 7n) > 0n) digits.unshift(128 + Number(rest & 127n))
  return new Uint8Array(digits)
}

export function fingerprint (keys) {
  let sum = 0n
  for (const key of keys) sum += BigInt('0x' + Buffer.from(key.slice(16), 'hex').reverse().toString('hex'))
  const text = (sum % (1n << 256n)).toString(16).padStart(64, '0')
  const octets = Buffer.from(text, 'hex').reverse()
  return sha256(joined([octets, varint(keys.length)])).slice(0, 16)
}

function boundBetween (below, above) {
  if (below.slice(0, 16) !== above.slice(0, 16)) return above.slice(0, 16)
  for (let end = 18; ; end += 2) {
    if (below.slice(0, end) !== above.slice(0, end)) return above.slice(0, end)
  }
}

// Sixteen parts, each {upper, keys}; the last of them ends at `upper`.
function parts (keys, upper) {
  const each = Math.floor(keys.length / PARTS)
  let start = 0
  return Array.from({ length: PARTS }, (_, part) => {
    const end = start + each + (part < keys.length % PARTS ? 1 : 0)
    const last = part === PARTS - 1
    const found = {
      upper: last ? upper : boundBetween(keys[end - 1], keys[end]),
      keys: keys.slice(start, end)
    }
    start = end
    return found
  })
}

// --- messages ---

export class Message {
  #parts = []
  #time = 0n
  #skipped = null
  size = 0
  count = 0

  add (upper, mode, ...more) {
    if (this.#skipped !== null) this.#put(this.#skipped, SKIP)
    this.#skipped = null
    this.#put(upper, mode, ...more)
  }

  skip (upper) {
    this.#skipped = upper
  }

  prints (keys, upper) {
    for (const part of parts(keys, upper)) this.add(part.upper, PRINT, fingerprint(part.keys))
  }

  list (ids, upper) {
    this.add(upper, LIST, varint(ids.length), ...ids)
  }

  want (places, upper) {
    const octets = new Uint8Array(Math.floor(places.at(-1) / 8) + 1)
    for (const place of places) octets[Math.floor(place / 8)] |= 1 << (place % 8)
    this.add(upper, WANT, varint(octets.length), octets)
  }

  get data () {
    return joined(this.#parts)
  }

  #put (upper, mode, ...more) {
    const part = joined([...this.#bound(upper), varint(mode), ...more])
    this.#parts.push(part)
    this.size += part.length
    this.count += 1
  }

  #bound (upper) {
    if (upper === END) return [new Uint8Array(2)]
    const time = BigInt('0x' + upper.slice(0, 16))
    const beginning = unhex(upper.slice(16))
    const step = time - this.#time
    this.#time = time
    return [varint(step + 1n), varint(beginning.length), beginning]
  }
}

export function readMessage (data) {
  let [at, time, below, count] = [0, 0n, '', 0]
  const take = length => {
    if (BigInt(length) > BigInt(data.length - at)) refuse('cut short')
    at += Number(length)
    return data.slice(at - Number(length), at)
  }
  const number = () => {
    let [value, digit] = [0n, take(1)[0]]
    if (digit === 128) refuse('not the shortest')
    for (; digit >= 128; digit = take(1)[0]) value = value << 7n | BigInt(digit & 127)
    return value << 7n | BigInt(digit)
  }
  const bound = () => {
    const [step, beginning] = [number(), take(number())]
    let upper = END
    if (step === 0n) {
      if (beginning.length) refuse('an end and more')
    } else {
      time += step - 1n
      if (time >= 1n << 64n || beginning.length > 32) refuse('no bound')
      upper = time.toString(16).padStart(16, '0') + hex(beginning)
    }
    if (upper <= below) refuse('a bound that does not grow')
    below = upper
    return upper
  }
  const ranges = []
  while (at < data.length) {
    if (++count > RANGES_MAX) refuse('too many ranges')
    const [upper, mode] = [bound(), Number(number())]
    if (mode === SKIP) ranges.push({ upper, mode })
    else if (mode === PRINT) ranges.push({ upper, mode, print: take(16) })
    else if (mode === LIST) {
      const octets = take(number() * BigInt(SHORT_BYTES))
      const ids = []
      for (let n = 0; n < octets.length; n += SHORT_BYTES) ids.push(octets.slice(n, n + SHORT_BYTES))
      ranges.push({ upper, mode, ids })
    } else if (mode === WANT) {
      const length = number()
      if (length < 1n || length > 12n) refuse('a want of no length')
      const octets = take(length)
      if (octets.at(-1) === 0) refuse('a want that is not the shortest')
      const places = Array.from({ length: 8 * octets.length }, (_, n) => n)
        .filter(n => octets[Math.floor(n / 8)] >> (n % 8) & 1)
      ranges.push({ upper, mode, places })
    } else refuse('another mode')
  }
  return ranges
}

// --- one side of an exchange ---

export class Exchange {
  #keys
  #secret
  #listed = new Map()

  constructor (keys, secret) {
    this.#keys = keys.toSorted()
    this.#secret = secret
  }

  begin () {
    const message = new Message()
    const older = Math.max(0, this.#keys.length - NEWEST)
    if (older <= LISTED) {
      this.#list(message, this.#keys, END)
    } else {
      message.prints(this.#keys.slice(0, older), boundBetween(...this.#keys.slice(older - 1, older + 1)))
      this.#list(message, this.#keys.slice(older), END)
    }
    return message.data
  }

  // The answer to a message, and the keys that the other side lacks.
  answer (data) {
    const asked = this.#listed
    this.#listed = new Map()
    const [message, given] = [new Message(), []]
    let lower = ''
    for (const range of readMessage(data)) {
      const { upper } = range
      const here = this.#keys.filter(key => key >= lower && key < upper)
      given.push(...this.#say(message, range, here, asked))
      lower = upper
      const full = message.size > ANSWER_BYTES_MAX || message.count > ANSWER_RANGES_MAX
      if (full && upper !== END) {
        message.add(END, PRINT, fingerprint(this.#keys.filter(key => key >= lower)))
        break
      }
    }
    return { answer: message.data, given }
  }

  #short (key) {
    return keyed(unhex(key.slice(16)), SHORT_BYTES, this.#secret, 'nestmate/short')
  }

  #list (message, keys, upper) {
    this.#listed.set(upper, keys)
    message.list(keys.map(key => this.#short(key)), upper)
  }

  #tell (message, keys, upper) {
    if (keys.length <= LISTED) this.#list(message, keys, upper)
    else message.prints(keys, upper)
  }

  #say (message, { upper, mode, print, ids, places }, here, asked) {
    if (mode === PRINT && hex(print) !== hex(fingerprint(here))) {
      this.#tell(message, here, upper)
      return []
    }
    if (mode === LIST && ids.length && here.length > LISTED_BY_PEER_MAX) {
      this.#tell(message, here, upper)
      return []
    }
    if (mode === LIST) return this.#compare(message, ids, here, upper)
    message.skip(upper)
    if (mode !== WANT) return []
    const listed = asked.get(upper) ?? []
    if (places.at(-1) >= listed.length) refuse('a want for what was not listed')
    asked.delete(upper)
    return places.map(place => listed[place])
  }

  #compare (message, ids, here, upper) {
    const mine = new Map(here.map(key => [hex(this.#short(key)), key]))
    const theirs = new Set(ids.map(hex))
    const lacking = ids.map((_, place) => place).filter(place => !mine.has(hex(ids[place])))
    if (lacking.length && ids.length <= WANTED_FROM_MAX) message.want(lacking, upper)
    else message.skip(upper)
    return [...mine].filter(([id]) => !theirs.has(id)).map(([, key]) => key)
  }
}
