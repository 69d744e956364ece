// What docs/spec/06-sync.md says, made anew: tags, proofs, short ids, fingerprints, first
// messages and frames, held against tests/vectors/sync.json.
import { ascii, decode, encode, hex, joined, refuse, same, unhex } from './cbor.mjs'
import { integer, many, octets, optional, text } from './fields.mjs'
import { END, Exchange, Message, fingerprint, keyed, readMessage, varint } from './ranges.mjs'
import { sha256, verifiesAsLibsodium } from './records.mjs'

const PARTS = 16
const FRAME_BYTES_MAX = 256 * 1024

// --- frames ---

const number = integer(0, 2 ** 48)
const tag = octets(16)

// An array with more items after those, which are let be.
const beginning = (...checks) => value => {
  if (!Array.isArray(value)) refuse('no array')
  checks.forEach((check, place) => check(value[place]))
}

const exactly = (...checks) => value => {
  if (!Array.isArray(value) || value.length !== checks.length) refuse(`not ${checks.length} items`)
  checks.forEach((check, place) => check(value[place]))
}

const atLeastOne = check => value => {
  check(value)
  if (!value.length) refuse('none of them')
}

const tags = optional(many(64, tag))
const proofs = atLeastOne(many(2, beginning(octets(32), octets(64))))
const stand = optional(beginning(integer(1, 2 ** 48), octets(16)))
const FRAMES = {
  1: ['Hello', octets(16), tags],
  2: ['Tags', tags],
  3: ['Proof', number, tag, proofs],
  4: ['State', number, number, number, number, exactly(stand, stand, stand), octets(16)],
  5: ['Ranges', number, number, integer(0, 2), octets(0, 196_608)],
  6: ['Ops', number, number, atLeastOne(many(64, octets(1, 16 * 1024)))],
  7: ['Done', number, number, number],
  8: ['Credit', number],
  9: ['AskOps', number, optional(many(64, octets(32)))],
  10: ['LeavesOf', number, number, optional(many(1024, octets(73)))],
  11: ['Offer', octets(32), text(64), octets(33)]
}

export function readFrame (data) {
  if (data.length > FRAME_BYTES_MAX) refuse('too large')
  const frame = decode(data)
  if (!Array.isArray(frame) || !Object.hasOwn(FRAMES, frame[0])) refuse('no frame')
  const [name, ...items] = FRAMES[frame[0]]
  exactly(integer(1, 11), ...items)(frame)
  return { name, frame }
}

// --- the vectors ---

function must (fact, what) {
  if (!fact) throw new Error(what)
}

// Key n has time 1,000 n and as its id SHA-256 of n in eight bytes.
function keysOf (count) {
  return Array.from({ length: count }, (_, n) => {
    const [time, octets] = [Buffer.alloc(8), Buffer.alloc(8)]
    time.writeBigUInt64BE(BigInt(1000 * n))
    octets.writeBigUInt64BE(BigInt(n))
    return hex(time) + hex(sha256(octets))
  })
}

function negentropyMessage (keys) {
  const message = new Message()
  if (keys.length >= 2 * PARTS) message.prints(keys, END)
  else message.list(keys.map(key => unhex(key.slice(16))), END)
  return joined([new Uint8Array([0x61]), message.data])
}

// The message that has each mode once, read and written again.
function checkModes (text) {
  const read = readMessage(unhex(text))
  must(read.map(each => each.mode).join() === '0,1,2,3', 'the four modes')
  const message = new Message()
  for (const { upper, mode, print, ids, places } of read) {
    if (mode === 0) message.skip(upper)
    if (mode === 1) message.add(upper, mode, print)
    if (mode === 2) message.list(ids, upper)
    if (mode === 3) message.want(places, upper)
  }
  must(hex(message.data) === text, 'the modes are written otherwise')
}

export function checkSync ({ greeting, reconciling, frames }) {
  const at = Object.fromEntries(Object.entries(greeting).map(([k, v]) => [k, unhex(v)]))
  must(same(keyed(at.space, 16, at.own_salt, 'nestmate/tag'), at.own_tag), 'a tag')
  const proof = joined([
    ascii('nestmate/1/space-proof\0'), at.network, at.space,
    at.own_peer, at.other_peer, at.own_salt, at.other_salt
  ])
  must(verifiesAsLibsodium(at.signature, proof, at.key), 'a proof')
  const secret = joined([at.own_salt, at.other_salt]) // ours is the lower peer id
  const short = keyed(unhex(keysOf(1)[0].slice(16)), 8, secret, 'nestmate/short')
  must(same(short, at.short_id_of_first_key), 'a short id')
  for (const [number, text] of Object.entries(reconciling.varints)) {
    must(hex(varint(Number(number))) === text, `varint ${number}`)
  }
  for (const [count, text] of Object.entries(reconciling.fingerprints)) {
    must(hex(fingerprint(keysOf(Number(count)))) === text, `fingerprint of ${count}`)
  }
  checkModes(reconciling.four_modes)
  for (const [count, text] of Object.entries(reconciling.first_message)) {
    const side = new Exchange(keysOf(Number(count)), secret)
    must(hex(side.begin()) === text, `first of ${count}`)
  }
  for (const [count, text] of Object.entries(reconciling.negentropy_first_message)) {
    must(hex(negentropyMessage(keysOf(Number(count)))) === text, `theirs of ${count}`)
  }
  const seen = new Set()
  for (const [name, text] of Object.entries(frames)) {
    const read = readFrame(unhex(text))
    must(read.name === name, `${name} reads as ${read.name}`)
    must(hex(encode(read.frame)) === text, `${name} is encoded otherwise`)
    seen.add(read.name)
  }
  must(seen.size === Object.keys(FRAMES).length, 'a frame without a vector')
  return `${seen.size} frames`
}
