// The fields of every kind that signals, claims and invites are made of, as the tables
// of docs/spec/03 and 04 have them: one reader for each type, one list for each kind.
// Knows nothing of who may say what.
import { refuse, same } from './cbor.mjs'
import { sha256 } from './records.mjs'

const COUNT_MAX = 2n ** 63n - 1n
const GENERATION_MAX = 2 ** 31 - 1
const PRINTABLE = /^[^\p{C}\p{Z}]$/u

export function integer (low, high = COUNT_MAX) {
  return value => {
    const is = Number.isInteger(value) || typeof value === 'bigint'
    if (!is || value < low || value > high) refuse(`no integer from ${low} to ${high}`)
  }
}

export function octets (low, high = low) {
  return value => {
    if (!(value instanceof Uint8Array)) refuse('no bytes')
    if (value.length < low || value.length > high) refuse(`not ${low} to ${high} bytes`)
  }
}

// Characters are Unicode code points, which is not what `length` counts.
export function text (charsMax) {
  return value => {
    if (typeof value !== 'string' || [...value].length > charsMax) refuse('no such text')
  }
}

export function flag (value) {
  if (typeof value !== 'boolean') refuse('neither true nor false')
}

export function many (countMax, check) {
  return value => {
    if (!Array.isArray(value) || value.length > countMax) refuse('no such array')
    value.forEach(check)
  }
}

export const optional = check => value => {
  if (value !== undefined && value !== null) check(value)
}

// Visible characters and single spaces between them.
export function name (charsMax) {
  return value => {
    text(charsMax)(value)
    const visible = [...value].every(each => each === ' ' || PRINTABLE.test(each))
    if (!value || !visible || /^ | $/.test(value)) refuse('no name')
  }
}

export function multiaddr (value) {
  text(256)(value)
  if (!/^\/[\x20-\x7e]*$/.test(value)) refuse('no multiaddr')
}

const id = octets(32)
const code = integer(0, 127)
const generation = integer(1, GENERATION_MAX)
const seconds = integer(1, 3600)
const long = integer(1, 1_209_600)
const bulk = optional(octets(0, 12_288))
const supply = value => {
  if (!Array.isArray(value)) refuse('no input')
  const [task, hash, size, data] = value
  id(task)
  id(hash)
  integer(0, 12_288)(size)
  bulk(data)
  checkHash(data, hash, size)
}
const chain = first => [
  [first, octets(16)], [first + 1, integer(0)], [first + 2, optional(id)], [first + 3, integer(0)]
]

// A row of a testimony: skill, agent, sixteenths of doublings in sum, and tasks.
const lesson = row => {
  if (!Array.isArray(row)) refuse('not an array')
  const tasks = row[3]
  integer(1, 8)(tasks)
  name(64)(row[0])
  id(row[1])
  integer(-96 * Number(tasks), 96 * Number(tasks))(row[2])
}

const KINDS = {
  signal: [
    [1, id], [2, octets(1, 32)], [3, name(64)], [4, code], [5, code], [6, long],
    [7, optional(integer(0, 1))], [8, seconds], ...chain(9), [13, optional(octets(0, 1024))],
    [14, id], [15, integer(0, 12_288)], [16, optional(id)], [17, integer(0)],
    [18, optional(integer(0, 1_209_600))], [19, optional(integer(0))],
    [20, optional(many(3, id))], [21, optional(many(8, id))], [22, generation],
    [23, integer(0, 1_209_600_000)], [24, optional(octets(1, 32))]
  ],
  deposit: [[1, id], [2, octets(1, 32)], [3, id], [4, integer(0)], [5, code], ...chain(6)],
  claim: [[1, id], [2, id], [3, generation], [4, integer(0)], [5, seconds]],
  lease: [
    [1, id], [2, generation], [3, id], [4, seconds], [5, integer(0)], [6, bulk],
    [7, integer(0)], [8, bulk], [9, optional(many(8, supply))]
  ],
  beat: [[1, id], [2, id], [3, generation], [4, integer(1)], [5, integer(0)],
    [6, optional(integer(0))]],
  done: [[1, id], [2, id], [3, generation], [4, bulk], [5, id], [6, integer(0)]],
  receipt: [
    [1, id], [2, generation], [3, id], [4, id], [5, integer(0)], [6, code], [7, integer(0, 1)]
  ],
  release: [
    [1, id], [2, id], [3, generation], [4, optional(text(256))], [5, bulk], [6, optional(flag)]
  ],
  cancel: [[1, id], [2, generation]],
  testimony: [[1, id], [2, integer(0)], [3, optional(many(64, lesson))]],
  fetch: [[1, id], [2, id]],
  result: [[1, id], [2, id], [3, integer(0, 3)], [4, bulk], [6, optional(text(256))]],
  vote: [
    [1, id], [2, id], [3, generation], [4, generation], [5, optional(id)],
    [6, optional(generation)], [7, optional(id)]
  ],
  invite: [
    [1, id], [2, id], [3, optional(many(16, text(256)))], [4, octets(16)],
    [5, integer(1, 1000)], [6, integer(0, 2 ** 53)], [7, optional(many(16, text(64)))],
    [8, optional(text(64))], [9, optional(many(64, octets(1, 16_384)))], [10, id]
  ]
}

function checkHash (content, hash, length) {
  if (content === undefined || content === null) return
  octets(32)(hash)
  if (!same(sha256(content), hash)) refuse('not what its hash says')
  if (length !== undefined && content.length !== length) refuse('not as long as it says')
}

export function checkFields ({ kind, body }) {
  for (const [number, check] of KINDS[kind]) check(body.get(number))
  if (kind === 'signal') checkHash(body.get(13), body.get(14), body.get(15))
  if (kind === 'done') checkHash(body.get(4), body.get(5))
  if (kind === 'result') {
    const given = body.get(4) !== undefined && body.get(4) !== null
    if (given !== (body.get(3) === 0)) refuse('a result that is not given')
    checkHash(body.get(4), body.get(5))
  }
}
