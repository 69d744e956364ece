// The signed frame of docs/spec/01-records.md. A COSE library judges each record
// (@auth0/cose, which brings cbor-x and OpenSSL), libsodium judges the signature once
// more by the rules of R1.6, and what the library knows nothing of is checked here:
// headers, kinds, network and version. Knows no field of any kind but the version.
import { createHash, createPrivateKey, createPublicKey, sign as signRaw } from 'node:crypto'

import { Sign1 } from '@auth0/cose'
import sodium from 'libsodium-wrappers'

import { ascii, decode, encode, hex, joined, refuse, same } from './cbor.mjs'

await sodium.ready

export const NO_NETWORK = new Uint8Array(32)
export const LOG_KINDS = ['inception', 'rotate', 'device', 'retire']
export const KINDS = [...LOG_KINDS, 'card', 'presence', 'invite', 'op', 'signal', 'deposit',
  'claim', 'lease', 'beat', 'done', 'receipt', 'release', 'cancel', 'testimony', 'vote',
  'fetch', 'result']
const RECORD_BYTES_MAX = 16 * 1024
const SIGNAL_BYTES_MAX = 2 * 1024
const FRAME_BYTES_MAX = 256 * 1024
const FRAME_RECORDS_MAX = 64
const AGE_MS_MAX = 1_209_600_000
const EDDSA = -8
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

export const sha256 = (...parts) =>
  new Uint8Array(createHash('sha256').update(joined(parts)).digest())

export const networkId = name => sha256(ascii('nestmate/network/'), Buffer.from(name))

const isBytes = (value, length) =>
  value instanceof Uint8Array && (length === undefined || value.length === length)

// The network is not sent; records of an identity log belong to none.
function externalData (kind, network) {
  const within = LOG_KINDS.includes(kind) ? NO_NETWORK : network
  return joined([ascii(`nestmate/1/${kind}\0`), within])
}

const idOf = (header, payload) => sha256(encode(header), encode(payload))

function publicKey (raw) {
  const x = Buffer.from(raw).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
}

function readHeader (bytes) {
  const header = decode(bytes)
  if (!(header instanceof Map) || header.size !== 3) refuse('a header more or less')
  const [algorithm, author, type] = [1, 4, 16].map(key => header.get(key))
  if (algorithm !== EDDSA) refuse('not EdDSA')
  if (!isBytes(author, 32)) refuse('no device key')
  if (typeof type !== 'string' || !type.startsWith('nestmate/')) refuse('no type of ours')
  const kind = type.slice('nestmate/'.length)
  if (!KINDS.includes(kind)) refuse('an unknown kind')
  return { author, kind }
}

export async function openRecord (octets, network) {
  const data = new Uint8Array(octets) // no Buffer, which some libraries encode otherwise
  if (data.length > RECORD_BYTES_MAX) refuse('too large')
  const parts = decode(data)
  if (!Array.isArray(parts) || parts.length !== 4) refuse('no COSE_Sign1')
  const [header, open, payload, signature] = parts
  if (!isBytes(header) || !isBytes(payload) || !isBytes(signature, 64)) refuse('no COSE_Sign1')
  if (!(open instanceof Map) || open.size) refuse('an unprotected header')
  const { author, kind } = readHeader(header)
  if (kind === 'signal' && data.length > SIGNAL_BYTES_MAX) refuse('too large')
  const body = decode(payload)
  if (!(body instanceof Map)) refuse('the payload is no map')
  if (body.get(0) !== 1) refuse('another version')
  await verify(data, author, externalData(kind, network))
  return { id: idOf(header, payload), kind, author, body, data }
}

// By the bytes of the whole record, so that the library parses it by itself.
export async function verify (data, author, externalAAD) {
  const cose = Sign1.decode(data)
  const signed = encode(['Signature1', cose.encodedProtectedHeaders, externalAAD, cose.payload])
  if (!sodium.crypto_sign_verify_detached(cose.signature, signed, author)) {
    refuse('libsodium refuses the signature')
  }
  try {
    await cose.verify(publicKey(author), { externalAAD, algorithms: [EDDSA] })
  } catch (error) {
    refuse(`the COSE library refuses the signature: ${error.message}`)
  }
}

export const verifiesAsLibsodium = (signature, message, key) =>
  sodium.crypto_sign_verify_detached(signature, message, key)

function signingKey (seed) {
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
}

export function publicOf (seed) {
  const { x } = createPublicKey(signingKey(seed)).export({ format: 'jwk' })
  return new Uint8Array(Buffer.from(x, 'base64url'))
}

// Fields come as pairs [number, value] beside the version.
export function signRecord (seed, kind, network, fields) {
  const header = encode(new Map([[1, EDDSA], [4, publicOf(seed)], [16, `nestmate/${kind}`]]))
  const payload = encode(new Map([[0, 1], ...fields]))
  const external = externalData(kind, network)
  const signed = encode(['Signature1', header, external, payload])
  const signature = new Uint8Array(signRaw(null, signed, signingKey(seed)))
  const data = encode([header, new Map(), payload, signature])
  return { id: idOf(header, payload), kind, author: publicOf(seed), body: decode(payload), data }
}

// --- several records in one frame ---

export const makeFrame = (records, age = 0) =>
  encode([1, records.map(record => [age, record.data])])

export async function openFrame (data, network) {
  if (data.length > FRAME_BYTES_MAX) refuse('too large')
  const frame = decode(data)
  if (!Array.isArray(frame) || frame.length !== 2) refuse('no frame of ours')
  if (frame[0] === 2 || frame[0] === 3) return [] // heads and witnesses: hints, not kept here
  if (frame[0] !== 1) refuse('no frame of ours')
  const items = frame[1]
  if (!Array.isArray(items) || !items.length || items.length > FRAME_RECORDS_MAX) {
    refuse('no frame of 1 to 64 records')
  }
  const carried = []
  for (const item of items) {
    if (!Array.isArray(item) || item.length !== 2 || !isBytes(item[1])) refuse('no record')
    const [age, record] = item
    if (!Number.isInteger(age) || age < 0 || age > AGE_MS_MAX) refuse('no age')
    carried.push({ age, ...await openRecord(record, network) })
  }
  return carried
}

export const sameRecord = (a, b) => same(a.id, b.id)
export const idText = record => hex(record.id)
