// What a set of ops comes to, as docs/spec/05-spaces.md has it from R5.3 on: read rule
// by rule and slowly, each question asked of the whole set and remembered. What does not
// stand is refused first, so that no other rule sees it.
import { encode, hex, joined, same } from './cbor.mjs'
import { RIGHT, covers, follows, isSuccession, names, readGrant } from './grants.mjs'
import {
  AUTH, DATA, EPHEMERAL, TYPE, isFirst, isWellFormed, readEndorsed, readGenesis, readRevocation
} from './ops.mjs'
import { sha256 } from './records.mjs'

const opOf = dot => hex(dot.slice(0, 32))
const latest = (a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : Buffer.compare(a.dot, b.dot))

// A question that is asked of each op, answered once.
function remembered (ask) {
  const known = new Map()
  return async (space, key, ...more) => {
    if (!known.has(key)) known.set(key, await ask(space, key, ...more))
    return known.get(key)
  }
}

export class Space {
  constructor (first, ops) {
    const genesis = readGenesis(first)
    this.first = hex(first.id)
    this.founders = genesis.keys.map(hex)
    this.threshold = genesis.threshold
    this.ops = new Map()
    for (const op of ops) {
      const here = isFirst(op) ? same(op.id, first.id) : same(op.space, first.id)
      if (here) this.ops.set(hex(op.id), op)
    }
    this.standing = remembered(stands)
    this.sound = remembered(grantAt)
    this.pass = remembered(passes)
    this.counting = remembered(countingRevocations)
    this.behind = remembered(inForce)
  }

  op (key) {
    return this.ops.get(key)
  }

  keepOnly (keys) {
    this.ops = new Map(keys.map(key => [key, this.op(key)]))
  }

  async chosen (question) {
    const found = []
    for (const key of this.ops.keys()) if (await question(this, key)) found.push(key)
    return found
  }

  // From an op back to the beginning of its chain, as far as it is here.
  * line (key) {
    for (let op = this.op(key); op; op = op.prev && this.op(hex(op.prev))) yield hex(op.id)
  }
}

const grantIn = op => op.mutations.every(each => each.type === TYPE.GRANT && isWellFormed(each))

// R5.3
async function stands (space, key) {
  const op = space.op(key)
  if (key === space.first) return true
  if (isFirst(op)) return false
  if (op.seq > 0) {
    const prev = space.op(hex(op.prev))
    if (!prev || !same(prev.author, op.author) || prev.lane !== op.lane) return false
    if (prev.seq !== op.seq - 1 || !(await space.standing(space, hex(op.prev)))) return false
  }
  if (op.cap === null) return space.founders.includes(hex(op.author))
  const given = await space.sound(space, hex(op.cap))
  if (!given) return false
  if (names(given.grant, op.author)) return true
  if (!grantIn(op)) return false
  for (const { arg } of op.mutations) {
    if (!(await isSuccession(readGrant(arg), given.grant, op.author))) return false
  }
  return true
}

// R7.3, for the grant of a dot: {grant, parent, length}, or null if it is none.
async function grantAt (space, key) {
  const op = space.op(key.slice(0, 64))
  const mutation = op?.mutations[parseInt(key.slice(64), 16)]
  if (mutation?.type !== TYPE.GRANT || !isWellFormed(mutation)) return null
  if (!(await space.standing(space, hex(op.id)))) return null
  const grant = readGrant(mutation.arg)
  if (op.cap === null) return { grant, parent: null, length: 1, by: hex(op.id) }
  const parent = await space.sound(space, hex(op.cap))
  if (!parent || !(await follows(grant, parent.grant, op.author, parent.length))) return null
  return { grant, parent: hex(op.cap), length: parent.length + 1, by: hex(op.id) }
}

async function chainOf (space, dot) {
  const chain = []
  for (let key = dot; key; key = (await space.sound(space, key)).parent) chain.push(key)
  return chain
}

const isEnding = each =>
  (each.type === TYPE.REVOKE || each.type === TYPE.CLOSE) && isWellFormed(each)
const isWord = each =>
  each.type === TYPE.ENDORSE || (each.type === TYPE.LEAVE && isWellFormed(each))
const saysNoMore = op => op.mutations.every(isWord)

// R5.4
async function inForce (space, key) {
  const op = space.op(key)
  if (op.lane !== AUTH || op.cap !== null || key === space.first || saysNoMore(op)) return true
  const behind = new Set([hex(op.author)])
  for (const [other, each] of space.ops) {
    if (each.lane !== AUTH || each.cap !== null || !saysNoMore(each)) continue
    const endorsed = each.mutations.filter(one => one.type === TYPE.ENDORSE && isWellFormed(one))
    const ids = endorsed.flatMap(one => readEndorsed(one.arg))
    if (ids.some(id => hex(id) === key)) behind.add(hex(each.author))
  }
  return behind.size >= space.threshold
}

// R5.5: the revocations of a grant that count, each as the ops that it keeps.
async function countingRevocations (space, dot) {
  const chain = await chainOf(space, dot)
  const found = []
  for (const [key, op] of space.ops) {
    if (op.lane !== AUTH || (op.cap !== null && !chain.slice(1).includes(hex(op.cap)))) continue
    const here = op.mutations
      .filter(isEnding)
      .map(each => ({ ...readRevocation(each.arg), closes: each.type === TYPE.CLOSE }))
      .filter(each => hex(each.grant) === dot)
    if (!here.length) continue
    if (!(await space.behind(space, key)) || !(await space.pass(space, key))) continue
    for (const { heads, closes } of here) {
      found.push({ closes, kept: new Set(heads.flatMap(head => [...space.line(hex(head))])) })
    }
  }
  return found
}

// R5.6
async function passes (space, key) {
  const op = space.op(key)
  if (op.cap === null) return true
  const { closes } = (await space.sound(space, hex(op.cap))).grant
  if (closes !== null && op.time >> 16n > BigInt(closes)) return false
  for (const dot of await chainOf(space, hex(op.cap))) {
    const { grant, by } = await space.sound(space, dot)
    if (!(await space.pass(space, by)) || !(await space.behind(space, by))) return false
    if (grant.expires !== null && op.time >> 16n > BigInt(grant.expires)) return false
    const cuts = (await space.counting(space, dot)).filter(each => !each.closes || dot === hex(op.cap))
    if (cuts.some(each => !each.kept.has(key))) return false
  }
  return true
}

// R5.7
async function isCovered (space, op) {
  const cap = op.cap && (await space.sound(space, hex(op.cap))).grant
  for (const mutation of op.mutations) {
    if (!(await covered(space, op, cap, mutation))) return false
  }
  return true
}

async function covered (space, op, cap, mutation) {
  const { type, path } = mutation
  if (type === TYPE.GENESIS) return hex(op.id) === space.first
  if (type === TYPE.KEYS) return !cap || (cap.rights & RIGHT.GRANT) !== 0
  if (!isWellFormed(mutation)) return false
  if (type === TYPE.GRANT) return (await space.sound(space, hex(mutation.dot))) !== null
  if (type === TYPE.ENDORSE) return !cap
  if (type > TYPE.GRANT) return true
  const mints = type === TYPE.BUDGET && mutation.action === 0
  const right = mints || path.startsWith('.') ? RIGHT.RULE : RIGHT.WRITE
  return !cap || covers(cap, right, path, type)
}

async function isValid (space, key) {
  const op = space.op(key)
  return await passes(space, key) && await inForce(space, key) && isCovered(space, op)
}

// R5.8
async function offered (space, valid) {
  const found = new Set()
  const take = key => {
    if (found.has(key) || !space.op(key)) return
    found.add(key)
    const { prev, cap } = space.op(key)
    if (prev) take(hex(prev))
    if (cap) take(opOf(cap))
  }
  const last = lastWords(space, valid)
  for (const [key, op] of space.ops) {
    if (!(await space.pass(space, key))) continue
    if (op.lane !== EPHEMERAL) take(key)
    else if (op.mutations.some(each => last.has(hex(each.dot)))) take(key)
    const heads = op.mutations
      .filter(isEnding)
      .flatMap(each => readRevocation(each.arg).heads)
    for (const head of heads.map(hex)) {
      if (space.op(head) && space.op(head).lane !== EPHEMERAL) take(head)
    }
  }
  return found
}

// R5.17: dots of the ephemeral lane that count
function lastWords (space, valid) {
  const words = new Map()
  for (const key of valid) {
    const op = space.op(key)
    if (op.lane !== EPHEMERAL) continue
    for (const each of entriesOf(op)) {
      const place = JSON.stringify([each.path, each.type, hex(op.author)])
      const known = words.get(place)
      if (!known || latest(known, each) < 0) words.set(place, each)
    }
  }
  return new Set([...words.values()].map(each => hex(each.dot)))
}

const entriesOf = op => op.mutations.map(each => ({
  ...each,
  time: op.time,
  seq: op.seq,
  author: hex(op.author),
  op: hex(op.id),
  writer: hex(op.author) + hex(op.incarnation)
}))

// --- what is live, R5.10 to R5.16 ---

function unsuperseded (entries, mayReplace = () => true) {
  return entries.filter(entry => !entries.some(other =>
    mayReplace(other, entry) && other.superseded.some(dot => same(dot, entry.dot))))
}

function ofRegister (entries) {
  const newest = each => entries.every(other =>
    other.writer !== each.writer || other.seq <= each.seq)
  const final = each => entries.every(other =>
    other.op !== each.op || Buffer.compare(other.dot, each.dot) <= 0)
  return unsuperseded(entries).filter(each => each.action === 0 && newest(each) && final(each))
}

function ofCounter (entries) {
  const best = new Map()
  for (const entry of entries) {
    for (const side of [0, 1]) {
      const known = best.get(entry.writer + side)
      const [mine, theirs] = [entry, known].map(each => each && BigInt(each.arg[side]))
      const first = known && mine === theirs && Buffer.compare(entry.dot, known.dot) < 0
      if (!known || mine > theirs || first) best.set(entry.writer + side, entry)
    }
  }
  return [...new Set(best.values())]
}

const LIVE = {
  [TYPE.REGISTER]: ofRegister,
  [TYPE.SET]: entries => unsuperseded(entries).filter(each => each.action === 0),
  [TYPE.COUNTER]: ofCounter,
  [TYPE.LOG]: entries => entries,
  [TYPE.LIST]: entries => unsuperseded(entries).filter(each => each.action === 0),
  [TYPE.CLAIM]: entries => unsuperseded(entries, (one, other) => one.author === other.author)
    .filter(each => each.action === 0),
  [TYPE.BUDGET]: entries => entries
}

function liveOf (ops) {
  const objects = new Map()
  for (const op of ops.filter(each => each.lane === DATA)) {
    for (const entry of entriesOf(op)) {
      const place = JSON.stringify([entry.path, entry.type])
      objects.set(place, [...(objects.get(place) ?? []), entry])
    }
  }
  return [...objects.values()].flatMap(entries => LIVE[entries[0].type](entries))
}

// R5.19
function hashOf (entries) {
  const order = (a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)) ||
    a.type - b.type || Buffer.compare(a.dot, b.dot)
  return sha256(joined(entries.sort(order).map(({ path, type, dot }) => encode([path, type, dot]))))
}

const sorted = keys => [...keys].sort()

// All that follows from a set of ops, ids and dots in hexadecimal.
export async function comesTo (first, ops) {
  const space = new Space(first, ops)
  const stand = await space.chosen(space.standing)
  space.keepOnly(stand)
  const valid = await space.chosen(isValid)
  const written = valid.map(key => space.op(key))
  const live = liveOf(written)
  const auth = written.filter(op => op.lane === AUTH).flatMap(entriesOf)
  return {
    stand: sorted(stand),
    pass: sorted(await space.chosen(space.pass)),
    valid: sorted(valid),
    offered: sorted(await offered(space, valid)),
    live: sorted(live.map(each => hex(each.dot))),
    last: sorted(lastWords(space, valid)),
    hash: hex(hashOf([...auth, ...live]))
  }
}
