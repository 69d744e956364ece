// What docs/spec/06-sync.md says, made anew: tags, proofs, short ids, fingerprints, first
// messages and frames, held against tests/vectors/sync.json.
import { blake2b } from '@noble/hashes/blake2.js'

import { ascii, decode, encode, hex, joined, same, unhex } from './cbor.mjs'
import { sha256, verifiesAsLibsodium } from './records.mjs'

const PARTS = 16
const LISTED = 32
const NEWEST = 64
const LENGTHS = {
  Hello: 3, Tags: 2, Proof: 4, State: 7, Ranges: 5, Ops: 4, Done: 4, Credit: 2,
  AskOps: 3, LeavesOf: 4, Offer: 4
}

const personal = text => {
  const octets = new Uint8Array(16)
  octets.set(ascii(text))
  return octets
}

function must (fact, what) {
  if (!fact) throw new Error(what)
}

const keyed = (data, size, key, text) =>
  blake2b(data, { dkLen: size, key, personalization: personal(text) })

function varint (number) {
  const digits = [number % 128]
  for (let rest = Math.floor(number / 128); rest > 0; rest = Math.floor(rest / 128)) {
    digits.unshift(128 + rest % 128)
  }
  return new Uint8Array(digits)
}

// Key n has time 1,000 n and as its id SHA-256 of n in eight bytes.
function keysOf (count) {
  return Array.from({ length: count }, (_, n) => {
    const octets = Buffer.alloc(8)
    octets.writeBigUInt64BE(BigInt(n))
    return { time: 1000 * n, id: sha256(octets) }
  })
}

function fingerprint (keys) {
  let sum = 0n
  for (const { id } of keys) sum += BigInt('0x' + Buffer.from(id).reverse().toString('hex'))
  const text = (sum % (1n << 256n)).toString(16).padStart(64, '0')
  const octets = Buffer.from(text, 'hex').reverse()
  return sha256(joined([octets, varint(keys.length)])).slice(0, 16)
}

class Message {
  parts = []
  time = 0

  bound (time) {
    if (time === Infinity) return this.parts.push(new Uint8Array(2))
    this.parts.push(varint(1 + time - this.time), varint(0))
    this.time = time
  }

  prints (keys, upper) {
    const each = Math.floor(keys.length / PARTS)
    let start = 0
    for (let part = 0; part < PARTS; part++) {
      const end = start + each + (part < keys.length % PARTS ? 1 : 0)
      this.bound(end === keys.length ? upper : keys[end].time)
      this.parts.push(varint(1), fingerprint(keys.slice(start, end)))
      start = end
    }
  }

  list (ids, upper) {
    this.bound(upper)
    this.parts.push(varint(2), varint(ids.length), ...ids)
  }
}

function firstMessage (keys, short) {
  const [message, older] = [new Message(), Math.max(0, keys.length - NEWEST)]
  const ids = keys.map(({ id }) => short(id))
  if (older <= LISTED) {
    message.list(ids, Infinity)
  } else {
    message.prints(keys.slice(0, older), keys[older].time)
    message.list(ids.slice(older), Infinity)
  }
  return joined(message.parts)
}

function negentropyMessage (keys) {
  const message = new Message()
  if (keys.length >= 2 * PARTS) message.prints(keys, Infinity)
  else message.list(keys.map(({ id }) => id), Infinity)
  return joined([new Uint8Array([0x61]), ...message.parts])
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
  const short = id => keyed(id, 8, secret, 'nestmate/short')
  must(same(short(keysOf(1)[0].id), at.short_id_of_first_key), 'a short id')
  for (const [number, text] of Object.entries(reconciling.varints)) {
    must(hex(varint(Number(number))) === text, `varint ${number}`)
  }
  for (const [count, text] of Object.entries(reconciling.fingerprints)) {
    must(hex(fingerprint(keysOf(Number(count)))) === text, `fingerprint of ${count}`)
  }
  for (const [count, text] of Object.entries(reconciling.first_message)) {
    must(hex(firstMessage(keysOf(Number(count)), short)) === text, `first of ${count}`)
  }
  for (const [count, text] of Object.entries(reconciling.negentropy_first_message)) {
    must(hex(negentropyMessage(keysOf(Number(count)))) === text, `theirs of ${count}`)
  }
  const codes = new Set()
  for (const [name, text] of Object.entries(frames)) {
    const frame = decode(unhex(text))
    must(frame.length === LENGTHS[name], `${name} has ${frame.length} items`)
    must(hex(encode(frame)) === text, `${name} is encoded otherwise`)
    codes.add(frame[0])
  }
  must(codes.size === Object.keys(LENGTHS).length, 'two frames of one code')
  return `${codes.size} frames`
}
