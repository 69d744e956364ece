// Identity logs, cards and presence as docs/spec/02-identity.md has them: what speaks
// for an address, and what an agent says of itself. Knows no transport and no signal.
import { blake2b } from '@noble/hashes/blake2.js'
import { mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'

import { ascii, decode, hex, refuse, same } from './cbor.mjs'
import {
  checkFields, integer, many, multiaddr, name, octets as octetsOf, optional, text
} from './fields.mjs'
import { NO_NETWORK, openRecord, publicOf, sha256, signRecord } from './records.mjs'

const ENTRIES_MAX = 64
const LOG_BYTES_MAX = 14 * 1024
const DEVICES_MAX = 16
const VALID_MS_MAX = (48 * 3600 + 120) * 1000
const HOSTS_MAX = 4
const MULTIADDRS_MAX = 16
const SKILLS_MAX = 64
const SCHEMA_BYTES_MAX = 4 * 1024

const wallTime = integer(0, 2n ** 64n - 1n)
const version = integer(0)
const proposedName = optional(text(64))

export function derived (seed, domain) {
  const personalization = new Uint8Array(16)
  personalization.set(ascii('nestmate/derive'))
  return blake2b(ascii(domain), { dkLen: 32, key: seed, personalization })
}

export const rotationSeed = (recoverySeed, number) => derived(recoverySeed, `rotation/${number}`)
export const recoverySeed = seed => derived(seed, 'recovery')
export const hostSeed = deviceSeed => derived(deviceSeed, 'host')

// What an inception commits to, from the words that are shown once.
export function digestsOf (phrase) {
  const seed = mnemonicToEntropy(phrase, wordlist)
  return [rotationSeed(seed, 1), recoverySeed(seed)].map(each => sha256(publicOf(each)))
}

export function beginLog (deviceSeed, phraseSeed, random) {
  return signRecord(deviceSeed, 'inception', NO_NETWORK, [
    [1, random],
    [2, sha256(publicOf(rotationSeed(phraseSeed, 1)))],
    [3, sha256(publicOf(recoverySeed(phraseSeed)))]
  ])
}

// --- the log ---

function octets (record, field, length = 32) {
  const value = record.body.get(field)
  if (!(value instanceof Uint8Array) || value.length !== length) {
    refuse(`field ${field} of ${record.kind} is not ${length} bytes`)
  }
  return value
}

const has = (keys, key) => keys.some(each => same(each, key))

function begin (record) {
  if (record.kind !== 'inception') refuse('a log begins with an inception')
  octets(record, 1, 16)
  const [rotation, recovery] = [octets(record, 2), octets(record, 3)]
  const first = sha256(record.author)
  if (same(first, rotation) || same(first, recovery)) refuse('a device that may rotate')
  return { address: record.id, devices: [record.author], rotation, recovery, retired: false }
}

function mayRotate (state, record) {
  const digest = sha256(record.author)
  if (!same(digest, state.rotation) && !same(digest, state.recovery)) {
    refuse('signed by a key without the right to it')
  }
}

function changeDevices (state, record) {
  if (!has(state.devices, record.author)) refuse('signed by no current device')
  const [comes, key] = [record.body.get(3), octets(record, 4)]
  if (typeof comes !== 'boolean') refuse('neither in nor out')
  if (has(state.devices, key) === comes) refuse('a device that is there or is not')
  const devices = comes
    ? [...state.devices, key]
    : state.devices.filter(each => !same(each, key))
  if (!devices.length || devices.length > DEVICES_MAX) refuse('too few or too many devices')
  return { ...state, devices }
}

function rotate (state, record) {
  mayRotate(state, record)
  const devices = record.body.get(3)
  const isKey = key => key instanceof Uint8Array && key.length === 32
  if (!Array.isArray(devices) || !devices.every(isKey)) refuse('no device keys')
  if (!devices.length || devices.length > DEVICES_MAX) refuse('too few or too many devices')
  for (let i = 1; i < devices.length; i++) {
    if (Buffer.compare(devices[i - 1], devices[i]) >= 0) refuse('devices out of order')
  }
  const rotation = octets(record, 4)
  if (has(devices, record.author)) refuse('a rotation key that is a device')
  if (same(rotation, sha256(record.author))) refuse('a rotation key that is used twice')
  return { ...state, devices, rotation }
}

function retire (state, record) {
  mayRotate(state, record)
  return { ...state, retired: true }
}

const STEPS = { device: changeDevices, rotate, retire }

export async function openLog (entries) {
  if (!Array.isArray(entries) || !entries.length || entries.length > ENTRIES_MAX) {
    refuse('no log of 1 to 64 entries')
  }
  if (!entries.every(each => each instanceof Uint8Array)) refuse('no log')
  if (entries.reduce((sum, each) => sum + each.length, 0) > LOG_BYTES_MAX) refuse('too large')
  const records = []
  let state
  for (const [position, entry] of entries.entries()) {
    const record = await openRecord(entry, NO_NETWORK)
    if (position === 0) {
      state = begin(record)
    } else {
      if (state.retired) refuse('an entry after the end')
      if (!same(octets(record, 1), records.at(-1).id)) refuse('names another entry before')
      if (record.body.get(2) !== position) refuse('another position')
      if (!STEPS[record.kind]) refuse('no entry of a log')
      state = STEPS[record.kind](state, record)
    }
    records.push(record)
  }
  return { ...state, entries, records }
}

// R2.7: retired, then rotations, then length, then ids, then bytes.
export function compareLogs (a, b) {
  const owners = log => log.records.filter(each => each.kind !== 'device').length
  const lists = (left, right) => {
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      const order = Buffer.compare(left[i], right[i])
      if (order) return order
    }
    return left.length - right.length
  }
  return (
    a.retired - b.retired || owners(a) - owners(b) || a.records.length - b.records.length ||
    lists(a.records.map(each => each.id), b.records.map(each => each.id)) ||
    lists(a.entries, b.entries)
  )
}

// --- cards and presence ---

const peerId = octetsOf(32)
const description = optional(text(1024))
const price = optional(text(64))

function schema (value) {
  if (value === undefined || value === null) return
  if (typeof value !== 'string' || Buffer.byteLength(value) > SCHEMA_BYTES_MAX) refuse('no schema')
}

// An array of arrays; items of them that nobody knows are let be.
function rows (value, countMax, read) {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || value.length > countMax) refuse('no such array')
  return value.map(row => {
    if (!Array.isArray(row)) refuse('no array in an array')
    return read(row)
  })
}

function noneTwice (keys) {
  if (new Set(keys).size !== keys.length) refuse('named twice')
}

function readHosts (value) {
  const hosts = rows(value, HOSTS_MAX, ([peer, multiaddrs]) => {
    peerId(peer)
    optional(many(MULTIADDRS_MAX, multiaddr))(multiaddrs)
    return { peer, multiaddrs: multiaddrs ?? [] }
  })
  noneTwice(hosts.map(host => hex(host.peer)))
  return hosts
}

function readSkills (value) {
  const skills = rows(value, SKILLS_MAX, ([called, tells, input, output, costs]) => {
    name(64)(called)
    if (called.includes('  ')) refuse('two spaces in a row')
    description(tells)
    schema(input)
    schema(output)
    price(costs)
    return { name: called, description: tells ?? '', input, output, price: costs ?? '' }
  })
  noneTwice(skills.map(skill => skill.name))
  return skills
}

// The devices whose word still counts: of a retired log, those it had last.
function judge (record, log, validUntil, now) {
  if (!has(log.devices, record.author)) refuse('signed by no current device')
  wallTime(validUntil)
  if (validUntil <= now || validUntil > now + VALID_MS_MAX) refuse('over, or too long')
}

export async function openCard (data, network, now) {
  const record = await openRecord(data, network)
  if (record.kind !== 'card') refuse('no card')
  const { body } = record
  const log = await openLog(body.get(1))
  judge(record, log, body.get(7), now)
  version(body.get(8))
  proposedName(body.get(9))
  return {
    ...record,
    address: log.address,
    log,
    hosts: readHosts(body.get(2)),
    skills: readSkills(body.get(3)),
    version: body.get(8),
    called: body.get(9) ?? ''
  }
}

export async function openPresence (data, network, now) {
  const record = await openRecord(data, network)
  if (record.kind !== 'presence') refuse('no presence')
  const { body } = record
  const log = await openLog(body.get(4))
  judge(record, log, body.get(5), now)
  if (!same(octets(record, 1), log.address)) refuse('the presence of another address')
  version(body.get(2))
  return {
    ...record,
    address: log.address,
    log,
    hosts: readHosts(body.get(3)),
    version: body.get(2)
  }
}

export function makeCard (agent, hosts, skills, now) {
  return signRecord(agent.deviceSeed, 'card', agent.network, [
    [1, agent.log],
    [2, hosts.map(host => [host.peer, host.multiaddrs])],
    [3, skills.map(name => [name])],
    [7, now + 3600 * 1000],
    [8, now],
    [9, agent.called]
  ])
}

// --- invites (docs/spec/03-cards-and-discovery.md) ---

// The network an invite says it is for, before anything of it is verified.
function networkNamed (data) {
  const payload = decode(data)?.[2]
  if (!(payload instanceof Uint8Array)) refuse('no record')
  const body = decode(payload)
  const within = body instanceof Map ? body.get(10) : undefined
  if (!(within instanceof Uint8Array) || within.length !== 32) refuse('no network')
  return within
}

export async function openInvite (text, network) {
  const [, line] = /nestmate1([A-Za-z0-9_-]+)/.exec(text) ?? refuse('no invite')
  const data = new Uint8Array(Buffer.from(line, 'base64url'))
  const within = networkNamed(data)
  const invite = await openRecord(data, within)
  if (invite.kind !== 'invite') refuse('no invite')
  if (!same(within, network)) refuse('an invite to another network')
  checkFields(invite)
  const entries = invite.body.get(9)
  if (entries?.length) {
    const log = await openLog(entries)
    if (!same(log.address, octets(invite, 1))) refuse('the log of another address')
    if (!has(log.devices, invite.author)) refuse('signed by no current device')
  }
  return invite
}
