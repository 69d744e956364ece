// The encoding of docs/spec/01-records.md, on top of the npm package cbor2: maps are
// Map, byte strings Uint8Array, integers number or, beyond 2^53, bigint. Whatever is
// not the one encoding of its value throws. Knows nothing of records.
import { decode as decodeAny, encode as encodeAny } from 'cbor2'

const DEPTH_MAX = 8
const ITEMS_MAX = 4096
const STRICT = {
  cde: true,
  preferMap: true,
  maxDepth: 64,
  rejectBigInts: true,
  rejectDuplicateKeys: true,
  rejectFloats: true,
  rejectSimple: true,
  rejectUndefined: true,
  ignoreGlobalTags: true
}

export class Refused extends Error {}

export function refuse (why) {
  throw new Refused(why)
}

export const same = (a, b) => Buffer.compare(a, b) === 0
export const hex = bytes => Buffer.from(bytes).toString('hex')
export const unhex = text => new Uint8Array(Buffer.from(text, 'hex'))
export const ascii = text => new Uint8Array(Buffer.from(text, 'latin1'))
export const joined = parts => new Uint8Array(Buffer.concat(parts))

export const encode = value => encodeAny(value, { cde: true })

export function decode (octets) {
  const bytes = new Uint8Array(octets)
  let value
  try {
    value = decodeAny(bytes, STRICT)
  } catch (error) {
    refuse(`no CBOR of ours: ${error.message}`)
  }
  if (check(value, 1) > ITEMS_MAX) refuse('too many items')
  if (!same(encode(value), bytes)) refuse('not the only encoding of its value')
  return value
}

// Counts the items below a value; throws where a type or a depth is not allowed.
function check (value, depth) {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return 0
  if (Number.isInteger(value) || typeof value === 'bigint') return 0
  if (value instanceof Uint8Array) return 0
  if (depth > DEPTH_MAX) refuse('too deep')
  if (Array.isArray(value)) {
    return value.reduce((sum, each) => sum + 1 + check(each, depth + 1), 0)
  }
  if (!(value instanceof Map)) refuse('a type we do not use')
  let sum = 0
  for (const [key, each] of value) {
    if (!['number', 'bigint', 'string'].includes(typeof key)) refuse('no key of ours')
    sum += 2 + check(each, depth + 1)
  }
  return sum
}
