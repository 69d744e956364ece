// Checks every vector in tests/vectors against an implementation made from docs/spec
// alone. Prints one line of JSON for each check: {name, ok, detail}. The cases of
// Ed25519 are judged by libsodium, the records by a COSE library as well.
import { readFileSync, readdirSync } from 'node:fs'

import { parseEDN } from 'cbor-edn'

import { Refused, decode, encode, hex, joined, same, unhex } from './cbor.mjs'
import {
  derived, hostSeed, openCard, openLog, openPresence, recoverySeed, rotationSeed
} from './identity.mjs'
import {
  LOG_KINDS, networkId, openRecord, publicOf, sha256, signRecord, verifiesAsLibsodium
} from './records.mjs'
import { checkBlobs } from './blobs.mjs'
import { contradict, openHearsay } from './hearsay.mjs'
import { Names, skillKey } from './names.mjs'
import { isWellFormed, openOp, readHanding } from './ops.mjs'
import { comesTo } from './space.mjs'
import { nameOf, openSealed, seal, takeSecret } from './sealed.mjs'
import { checkSync } from './sync.mjs'
import { bytesOf, peerText, textOf } from './texts.mjs'

const FOLDER = new URL('../../vectors/', import.meta.url)

function tell (name, ok, detail) {
  console.log(JSON.stringify({ name, ok, detail }))
}

async function attempt (name, check) {
  try {
    tell(name, true, (await check()) ?? '')
  } catch (error) {
    tell(name, false, error.stack.split("\n").slice(0, 3).join(" "))
  }
}

function must (fact, what) {
  if (!fact) throw new Error(what)
}

async function mustRefuse (what, check) {
  try {
    await check()
  } catch (error) {
    if (error instanceof Refused) return
    throw error
  }
  throw new Error(`took ${what}`)
}

const read = name => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'))

async function checkEncoding ({ accepted, refused }) {
  for (const { hex: text, value } of accepted) {
    const bytes = unhex(text)
    decode(bytes)
    must(same(parseEDN(value), bytes), `${value} is not ${text}`)
  }
  for (const { hex: text, why } of refused) {
    await mustRefuse(`${text}: ${why}`, () => decode(unhex(text)))
  }
  return `${accepted.length} taken, ${refused.length} refused`
}

function checkSignatures ({ cases }) {
  for (const each of cases) {
    const [signature, message, key] = [each.signature, each.message, each.pub_key].map(unhex)
    const verdict = verifiesAsLibsodium(signature, message, key)
    must(verdict === each.accepted, `number ${each.number} is ${verdict}`)
  }
  return `${cases.length} cases`
}

async function checkRecord ({ inputs, hex: text, id }) {
  const [data, network] = [unhex(text), unhex(inputs.network)]
  const record = await openRecord(data, network)
  must(record.kind === inputs.kind, `kind ${record.kind}`)
  must(hex(record.id) === id, `id ${hex(record.id)}`)
  const payload = parseEDN(inputs.payload)
  must(same(decode(data)[2], payload), 'the payload is not what its notation says')
  const fields = [...decode(payload)].filter(([key]) => key !== 0)
  const again = signRecord(unhex(inputs.seed), inputs.kind, network, fields)
  must(same(again.data, data), 'the same inputs give other bytes')
  return `${data.length} bytes`
}

// What travels beside the header of an op, and what it says.
async function checkOp ({ inputs, hex: header, id }) {
  const [data, network] = [unhex(inputs.op), unhex(inputs.network)]
  const op = await openOp(data, network)
  must(hex(op.id) === id, `id ${hex(op.id)}`)
  const values = inputs.values.map(value => value === null ? null : unhex(value))
  const again = encode([unhex(header), unhex(inputs.skeleton), values])
  must(same(again, data), 'header, skeleton and values give other bytes')
  must(op.mutations.every(isWellFormed), 'a mutation that is not well formed')
  return `${op.mutations.length} mutations`
}

// A secret is handed out and opens what was sealed with it; the same draws seal it again.
async function checkPrivate ({ private_keys: keys, private_op: written }) {
  const network = unhex(keys.inputs.network)
  const secret = unhex(keys.inputs.secret)
  const given = await openOp(unhex(keys.inputs.op), network, true)
  const handing = readHanding(given.mutations[0].arg)
  must(hex(nameOf(given.space, secret)) === keys.inputs.name, 'the name of a secret')
  for (const seed of keys.inputs.readers) {
    must(same(takeSecret(handing, given.space, unhex(seed)), secret), 'a box')
  }
  const op = await openOp(unhex(written.inputs.op), network, true)
  const { skeleton, mutations, values } = openSealed(secret, op)
  must(hex(skeleton) === written.inputs.clear_skeleton, 'a skeleton')
  must(mutations.every(isWellFormed), 'a mutation that is not well formed')
  const shown = values.map(value => value && hex(value))
  must(JSON.stringify(shown) === JSON.stringify(written.inputs.clear_values), 'values')
  const nonce = op.box.slice(16, 40)
  const again = joined([op.box.slice(0, 16), seal(secret, op, 255, skeleton, nonce)])
  must(same(again, op.box), 'a box sealed otherwise')
  await mustRefuse('a sealed op in the clear', () => openOp(unhex(written.inputs.op), network))
  return `${handing.boxes.length} boxes, ${mutations.length} mutations`
}

// All golden ops in the clear are of one space, and all that is in them counts.
async function checkSpace (vectors) {
  const ops = []
  for (const { inputs } of vectors) ops.push(await openOp(unhex(inputs.op), unhex(inputs.network)))
  const first = ops.find(op => op.space.every(each => each === 0))
  const found = await comesTo(first, ops)
  must(found.valid.length === ops.length, 'an op that does not count')
  return `state hash ${found.hash.slice(0, 16)}…`
}

// Every bit of every byte: whatever was changed, it is no record any more.
async function checkMutants ({ inputs, hex: text }) {
  const [data, network] = [unhex(text), unhex(inputs.network)]
  for (let place = 0; place < data.length; place++) {
    const mutant = data.slice()
    mutant[place] ^= 1 << (place % 8)
    await mustRefuse(`a change at ${place}`, () => openRecord(mutant, network))
  }
  await mustRefuse('a byte more', () => openRecord(joined([data, new Uint8Array(1)]), network))
  if (!LOG_KINDS.includes(inputs.kind)) {
    await mustRefuse('another network', () => openRecord(data, networkId('another')))
  }
  return `${data.length + 1} refused`
}

async function checkIdentity (vectors) {
  const { card, presence, inception } = vectors
  const network = unhex(card.inputs.network)
  const field = (vector, number) => decode(decode(unhex(vector.hex))[2]).get(number)
  const until = field(card, 7)
  const opened = await openCard(unhex(card.hex), network, until - 1000)
  const seen = await openPresence(unhex(presence.hex), network, field(presence, 5) - 1000)
  must(hex(opened.address) === inception.id, 'another address')
  must(same(opened.address, seen.address), 'card and presence differ')
  await mustRefuse('a card that is over', () => openCard(unhex(card.hex), network, until))
  const text = textOf('nest', opened.address)
  must(same(bytesOf('nest', text), opened.address), 'the text form')
  return `${text}, a log of ${opened.log.records.length}`
}

async function checkLogs (vectors) {
  for (const kind of LOG_KINDS) {
    const { inputs, hex: text } = vectors[kind]
    const entries = [...(inputs.log ?? []), text].map(unhex)
    const log = await openLog(entries)
    must(hex(log.records.at(-1).id) === vectors[kind].id, kind)
  }
  return `${LOG_KINDS.length} logs`
}

function checkDerivation ({ rotate, retire, inception, card }) {
  const phrase = new Uint8Array(32).fill(4)
  const device = unhex(card.inputs.seed)
  must(hex(rotationSeed(phrase, 1)) === rotate.inputs.seed, 'rotation key 1')
  const body = decode(decode(unhex(inception.hex))[2])
  must(same(body.get(2), sha256(publicOf(rotationSeed(phrase, 1)))), 'digest of rotation')
  must(same(body.get(3), sha256(publicOf(recoverySeed(phrase)))), 'digest of recovery')
  const hosts = decode(decode(unhex(card.hex))[2]).get(2)
  must(same(hosts[0][0], publicOf(hostSeed(device))), 'host key')
  const keys = [rotationSeed(phrase, 2), recoverySeed(phrase)].map(hex)
  must(keys.includes(retire.inputs.seed), 'the key that retires')
  return hex(derived(phrase, 'recovery')).slice(0, 8)
}

async function checkHearsay ({ network, heads, witnesses, refused }) {
  const within = unhex(network)
  const told = (await openHearsay(unhex(heads.hex), within)).heads
  const shown = told.map(head => [hex(head.key), hex(head.incarnation), head.seq, hex(head.id)])
  must(JSON.stringify(shown) === JSON.stringify(heads.heads), 'other heads')
  for (const each of witnesses) {
    const found = (await openHearsay(unhex(each.hex), within)).witnesses
    must(found.map(record => hex(record.id)).join() === each.ids.join(), `${each.why}: ids`)
    const proves = found.length === 2 && contradict(...found)
    must(proves === each.proves, `${each.why}: ${proves}`)
  }
  for (const each of refused) {
    await mustRefuse(each.why, () => openHearsay(unhex(each.hex), within))
  }
  return `${witnesses.length} proofs or none, ${refused.length} refused`
}

// The examples in the pages 03 and 10 that no file holds.
function checkExamples () {
  const main = networkId('main')
  const names = new Names(main)
  must(hex(main).startsWith('411a33af56bcd716f83e8a215b2aaf0e'), 'the network id')
  must(names.topic('translate') === 'nestmate/1/411a33af56bcd716/skill/7fd690e20d081646', 'a topic')
  must(names.kad === '/nestmate/411a33af56bcd716/kad/1.0.0', 'the DHT')
  must(names.channel('signals') === '/nestmate/1/411a33af56bcd716/signals', 'a channel')
  must(/^7602f774.*9ce6d4$/.test(hex(skillKey('translate'))), 'the key of a skill')
  const device = new Uint8Array(32).map((_, place) => place)
  const seed = 'e56c24028248d9788c10c398e0e186eb31e88681a6efc43e40f08b6f5368ccef'
  must(hex(hostSeed(device)) === seed, 'the seed of a host key')
  const peer = '12D3KooWAe7DZQmmMLsQ9jCS52VWqDGyqE1H7Ko1LepT9YedM1oV'
  must(peerText(publicOf(unhex(seed))) === peer, 'a peer id')
  return peer
}

const names = readdirSync(FOLDER).filter(name => name.endsWith('.json')).sort()
const all = Object.fromEntries(names.map(name => [name.slice(0, -'.json'.length), read(name)]))
const { blobs, cbor, ed25519_speccheck: speccheck, hearsay, sync, ...records } = all

await attempt('blobs', () => checkBlobs(blobs))
await attempt('cbor', () => checkEncoding(cbor))
await attempt('ed25519_speccheck', () => checkSignatures(speccheck))
await attempt('hearsay', () => checkHearsay(hearsay))
await attempt('sync', () => checkSync(sync))
for (const [name, vector] of Object.entries(records)) {
  await attempt(name, () => checkRecord(vector))
  await attempt(`${name}, changed`, () => checkMutants(vector))
  if (name.startsWith('op_')) await attempt(`${name}, all of it`, () => checkOp(vector))
}
await attempt('identity logs', () => checkLogs(records))
await attempt('cards and presence', () => checkIdentity(records))
await attempt('keys of a phrase', () => checkDerivation(records))
const clear = Object.keys(records).filter(name => name.startsWith('op_'))
await attempt('a space', () => checkSpace(clear.map(name => records[name])))
await attempt('a private space', () => checkPrivate(records))
await attempt('examples in the pages', checkExamples)
