// Ops as docs/spec/05-spaces.md has them: the three parts that travel, and which
// mutations are well formed for their type. Knows nothing of what counts.
import { Refused, decode, hex, joined, refuse, same } from './cbor.mjs'
import { integer, many, octets, optional, text } from './fields.mjs'
import { readGrant } from './grants.mjs'
import { openRecord, sha256 } from './records.mjs'

export const [AUTH, DATA, EPHEMERAL] = [0, 1, 2]
export const TYPE = {
  REGISTER: 1, SET: 2, COUNTER: 3, LOG: 4, LIST: 5, CLAIM: 6, BUDGET: 7,
  GRANT: 16, REVOKE: 17, ENDORSE: 18, KEYS: 19, LEAVE: 20, GENESIS: 21, CLOSE: 22
}
const TYPES = Object.values(TYPE)
const OP_BYTES_MAX = 16 * 1024
const HEADER_BYTES_MAX = 512
const MUTATIONS_MAX = 64
const SEQ_MAX = 2 ** 48
const TIME_MAX = 2n ** 64n - 1n
const NO_SPACE = new Uint8Array(32)

const id = octets(32)
const dot = octets(33)
const HEADER = [
  [1, id], [2, integer(0, 2)], [3, integer(0, SEQ_MAX)], [4, optional(id)],
  [5, integer(0, TIME_MAX)], [6, optional(dot)], [7, octets(16)], [8, id],
  [9, optional(integer(1, TIME_MAX))]
]

const isNothing = value => value === undefined || value === null

// An array of exactly so many items.
function row (value, length) {
  if (!Array.isArray(value) || value.length !== length) refuse(`no array of ${length}`)
  return value
}

function readPlace (body) {
  for (const [number, check] of HEADER) check(body.get(number))
  const [space, lane, seq, prev, time, cap, incarnation, digest, expires] =
    HEADER.map(([number]) => body.get(number) ?? null)
  if ((prev === null) !== (seq === 0)) refuse('a chain without a beginning')
  if ((lane === EPHEMERAL) !== (expires !== null)) refuse('an expiry')
  if (lane === EPHEMERAL && seq !== 0) refuse('a chain of what does not last')
  return { space, lane, seq, prev, time: BigInt(time), cap, incarnation, digest }
}

function readPath (path) {
  if (typeof path !== 'string' || Buffer.byteLength(path) > 256) refuse('no path')
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f-\u009f]/.test(path) || path.split('/').includes('')) refuse('no path')
}

export function readMutation (item, lane) {
  const [type, action, path, digest, superseded, arg] = row(item, 6)
  if (!TYPES.includes(type)) refuse('no type of ours')
  integer(0, 15)(action)
  if ((type >= TYPE.GRANT) !== (lane === AUTH)) refuse('a type of another lane')
  if (lane !== AUTH) readPath(path)
  else if (path !== '') refuse('a path in the auth lane')
  optional(id)(digest)
  many(64, dot)(superseded)
  return { type, action, path, digest, superseded, arg }
}

// What stands in the place of a skeleton that is sealed.
function readBox (skeleton) {
  const parts = decode(skeleton)
  if (!Array.isArray(parts)) refuse('no box')
  const [box, digests] = parts
  octets(1, OP_BYTES_MAX)(box)
  many(MUTATIONS_MAX, optional(id))(digests)
  return { box, digests }
}

function readSkeleton (skeleton, lane) {
  const rows = decode(skeleton)
  if (!Array.isArray(rows) || !rows.length || rows.length > MUTATIONS_MAX) refuse('no mutations')
  return rows.map(item => readMutation(item, lane))
}

function checkValues (values, digests) {
  row(values, digests.length).forEach((value, n) => {
    if (value === null) return
    if (!(value instanceof Uint8Array)) refuse('no value')
    if (!digests[n] || !same(sha256(value), digests[n])) refuse('no such value')
  })
}

// `sealed` says that the space is private, so that lanes 1 and 2 hold boxes.
export async function openOp (data, network, sealed = false) {
  if (data.length > OP_BYTES_MAX) refuse('too large')
  const wire = decode(data)
  if (!Array.isArray(wire)) refuse('no op')
  const [header, skeleton, values] = wire
  octets(1, HEADER_BYTES_MAX)(header)
  octets(1, OP_BYTES_MAX)(skeleton)
  const record = await openRecord(header, network)
  if (record.kind !== 'op') refuse('no op')
  const place = readPlace(record.body)
  if (!same(sha256(skeleton), place.digest)) refuse('a skeleton that is not its hash')
  if (sealed && place.lane !== AUTH) {
    const { box, digests } = readBox(skeleton)
    checkValues(values, digests)
    return { id: record.id, author: record.author, ...place, box, values, mutations: [] }
  }
  const mutations = readSkeleton(skeleton, place.lane)
  checkValues(values, mutations.map(each => each.digest))
  mutations.forEach((each, n) => { each.dot = joined([record.id, new Uint8Array([n])]) })
  return { id: record.id, author: record.author, ...place, mutations }
}

export const isFirst = op => same(op.space, NO_SPACE)

// --- what is well formed ---

const amount = integer(0)
const atLeastOne = integer(1)

function withValue (mutation, takes) {
  if (isNothing(mutation.digest) === takes) refuse('a value too many or too few')
}

function nothing (arg) {
  if (arg !== null) refuse('an arg')
}

// A type whose first action brings a value and whose second takes one back.
const inAndOut = position => mutation => {
  if (mutation.action > 1) refuse('no such action')
  withValue(mutation, mutation.action === 0)
  if (mutation.action === 0) position(mutation.arg)
  else nothing(mutation.arg)
}

function position (arg) {
  octets(1, 64)(arg)
  if (arg.at(-1) === 0) refuse('a position that ends in 0')
}

const only = (...actions) => ({ action }) => {
  if (!actions.includes(action)) refuse('no such action')
}

function amounts (arg) {
  row(arg, 2).forEach(each => amount(each))
}

function movement ({ action, arg }) {
  const [sum, to, cited] = row(arg, 3)
  atLeastOne(sum)
  many(64, dot)(cited)
  if (action === 2) return nothing(to)
  id(to)
  if (action === 0 && cited.length) refuse('a mint that cites')
}

const isPlain = ({ action, digest, superseded }) =>
  action === 0 && digest === null && !superseded.length

export function readRevocation (arg) {
  const [grant, heads] = row(arg, 2)
  dot(grant)
  many(256, id)(heads)
  return { grant, heads }
}

// What a mutation `keys` hands out: {name, boxes: [[key, box], …]}.
export function readHanding (arg) {
  const [name, rows] = row(arg, 2)
  octets(16)(name)
  many(96, octets(32 + 80))(rows)
  if (!rows.length) refuse('handed to nobody')
  const boxes = rows.map(each => [each.slice(0, 32), each.slice(32)])
  if (new Set(boxes.map(([key]) => hex(key))).size !== boxes.length) refuse('a key twice')
  return { name, boxes }
}

export function readEndorsed (arg) {
  many(64, id)(arg)
  if (!arg.length) refuse('nothing endorsed')
  return arg
}

export function readGenesis (op) {
  const first = isFirst(op) && op.lane === AUTH && op.seq === 0 && op.cap === null
  if (!first || op.mutations.length !== 1) refuse('no first op')
  const [mutation] = op.mutations
  const { type, arg } = mutation
  if (type !== TYPE.GENESIS || !isPlain(mutation) || !(arg instanceof Map)) refuse('no genesis')
  const founders = arg.get(1)
  text(64)(arg.get(0))
  many(16, each => {
    if (!Array.isArray(each)) refuse('no founder')
    id(each[0])
    id(each[1])
  })(founders)
  integer(1, founders.length)(arg.get(2))
  if (typeof arg.get(3) !== 'boolean') refuse('neither private nor not')
  octets(16)(arg.get(4))
  const keys = founders.map(each => each[1])
  if (new Set(keys.map(hex)).size !== keys.length) refuse('a founder twice')
  if (!keys.some(key => same(key, op.author))) refuse('founded by no founder')
  return { keys, threshold: Number(arg.get(2)) }
}

const CHECKS = {
  [TYPE.REGISTER]: inAndOut(nothing),
  [TYPE.SET]: inAndOut(nothing),
  [TYPE.COUNTER]: each => { only(0)(each); amounts(each.arg) },
  [TYPE.LOG]: each => { only(0)(each); nothing(each.arg); withValue(each, true) },
  [TYPE.LIST]: inAndOut(position),
  [TYPE.CLAIM]: each => {
    only(0, 1)(each)
    each.action === 0 ? amounts(each.arg) : nothing(each.arg)
  },
  [TYPE.BUDGET]: each => { only(0, 1, 2)(each); movement(each) },
  [TYPE.GRANT]: each => readGrant(each.arg),
  [TYPE.REVOKE]: each => readRevocation(each.arg),
  [TYPE.CLOSE]: each => readRevocation(each.arg),
  [TYPE.ENDORSE]: each => readEndorsed(each.arg),
  [TYPE.KEYS]: each => readHanding(each.arg),
  [TYPE.LEAVE]: each => nothing(each.arg)
}

export function isWellFormed (mutation) {
  try {
    if (mutation.type >= TYPE.GRANT && !isPlain(mutation)) refuse('more than an arg')
    CHECKS[mutation.type]?.(mutation)
    return true
  } catch (error) {
    if (error instanceof Refused) return false
    throw error
  }
}
