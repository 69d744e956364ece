// Heads and witnesses, as docs/spec/04 has them under "one chain": where chains end, and
// records that are looked at for what they prove about their author's chain.
import { decode, refuse, same } from './cbor.mjs'
import { integer, many, octets } from './fields.mjs'
import { openRecord } from './records.mjs'

const HEADS_MAX = 64
const WITNESSES_MAX = 8
// Of a chain's record: incarnation, number, the id before it.
const CHAIN = { signal: [9, 10, 11], deposit: [6, 7, 8] }

function readHead (head) {
  if (!Array.isArray(head)) refuse('no head')
  const [key, incarnation, seq, id] = head
  octets(32)(key)
  octets(16)(incarnation)
  integer(0)(seq)
  octets(32)(id)
  return { key, incarnation, seq, id }
}

async function readWitness (octetsOfOne, network) {
  octets(1, 16384)(octetsOfOne)
  const record = await openRecord(octetsOfOne, network)
  const fields = CHAIN[record.kind]
  if (!fields) refuse('a kind without a chain')
  const [incarnation, seq, prev] = fields.map(number => record.body.get(number))
  return { ...record, incarnation, seq, prev }
}

export async function openHearsay (data, network) {
  const frame = decode(data)
  if (!Array.isArray(frame)) refuse('no frame')
  const [kind, items] = frame
  if (kind === 2) {
    many(HEADS_MAX, () => {})(items)
    return { heads: items.map(readHead), witnesses: [] }
  }
  if (kind !== 3) refuse('neither heads nor witnesses')
  many(WITNESSES_MAX, () => {})(items)
  const witnesses = []
  for (const item of items) witnesses.push(await readWitness(item, network))
  return { heads: [], witnesses }
}

// R4.6f, of two in a row, the smaller number first.
export function contradict (one, other) {
  if (!same(one.author, other.author) || !same(one.incarnation, other.incarnation)) return false
  if (one.seq === other.seq) return !same(one.id, other.id)
  const next = BigInt(other.seq) === BigInt(one.seq) + 1n
  return next && !(other.prev && same(other.prev, one.id))
}
