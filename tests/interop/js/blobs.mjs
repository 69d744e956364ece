// What docs/spec/08-blobs.md says, made anew: ids of blobs, in clear and sealed, where they
// are found, and frames, held against tests/vectors/blobs.json.
import { createHash } from 'node:crypto'

import sodium from 'libsodium-wrappers'

import { ascii, decode, encode, hex, joined, refuse, same, unhex } from './cbor.mjs'
import { flag, integer, many, octets, optional } from './fields.mjs'
import { sha256 } from './records.mjs'
import { textOf } from './texts.mjs'

await sodium.ready

const CHUNK_BYTES = 65_536
const PIECE_BYTES = CHUNK_BYTES - 16
const NONCE_BYTES = 24
const BLOB_BYTES_MAX = 268_435_456
const CHUNKS_MAX = BLOB_BYTES_MAX / CHUNK_BYTES
const FRAME_BYTES_MAX = 256 * 1024

const index = integer(0, CHUNKS_MAX - 1)
const FRAMES = {
  1: ['Want', flag],
  2: ['Have', integer(0, BLOB_BYTES_MAX), flag, optional(octets(0, CHUNKS_MAX / 8)),
    optional(octets(0, 32 * CHUNKS_MAX))],
  3: ['No', integer(0, 255)],
  4: ['AskChunks', optional(many(16, index))],
  5: ['Chunk', index, octets(1, CHUNK_BYTES)]
}

export function readBlobFrame (data) {
  if (data.length > FRAME_BYTES_MAX) refuse('too large')
  const frame = decode(data)
  if (!Array.isArray(frame) || !Object.hasOwn(FRAMES, frame[0])) refuse('no frame')
  integer(1, 5)(frame[0])
  const [name, ...items] = FRAMES[frame[0]]
  if (frame.length !== 2 + items.length) refuse('too long or too short')
  octets(32)(frame[1])
  items.forEach((check, place) => check(frame[2 + place]))
  return { name, frame }
}

function nonceOf (place, last) {
  const nonce = Buffer.alloc(NONCE_BYTES)
  nonce.writeUInt32BE(place, NONCE_BYTES - 5)
  nonce[NONCE_BYTES - 1] = last ? 1 : 0
  return nonce
}

// The bytes that a body becomes under a key, chunk after chunk.
export function sealBlob (key, body) {
  const count = Math.max(1, Math.ceil(body.length / PIECE_BYTES))
  return joined(Array.from({ length: count }, (_, n) =>
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
      body.slice(n * PIECE_BYTES, (n + 1) * PIECE_BYTES),
      ascii('nestmate/1/sealed blob'), null, nonceOf(n, n === count - 1), key
    )))
}

// The bytes in a sealed blob; it refuses what was bent, moved or cut off.
export function openBlob (key, sealed) {
  const count = Math.ceil(sealed.length / CHUNK_BYTES)
  try {
    return joined(Array.from({ length: count }, (_, n) =>
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        null, sealed.slice(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES),
        ascii('nestmate/1/sealed blob'), nonceOf(n, n === count - 1), key
      )))
  } catch (error) {
    return refuse(`it does not open: ${error.message}`)
  }
}

export function blobId (body, root = 'nestmate/1/blob\0') {
  const size = Buffer.alloc(8)
  size.writeBigUInt64BE(BigInt(body.length))
  const hashes = []
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    hashes.push(sha256(body.slice(at, at + CHUNK_BYTES)))
  }
  return sha256(ascii(root), size, ...hashes)
}

function must (fact, what) {
  if (!fact) throw new Error(what)
}

function bodyOf (size) {
  const length = Number(size)
  return length
    ? createHash('shake256', { outputLength: length }).digest()
    : new Uint8Array()
}

function checkSealed ({ key, ids, ...small }) {
  const secret = unhex(key)
  must(hex(sealBlob(secret, bodyOf(1))) === small['chunk of 1 byte'], 'a sealed byte')
  for (const [size, text] of Object.entries(ids)) {
    const [body, sealed] = [bodyOf(size), sealBlob(secret, bodyOf(size))]
    const id = blobId(sealed, 'nestmate/1/sealed blob\0')
    must(textOf('blob', id) === text, `the id of ${size} sealed bytes`)
    must(same(openBlob(secret, sealed), body), `${size} bytes come back otherwise`)
  }
}

export function checkBlobs ({ ids, sealed, network, blob, space, frames, ...keys }) {
  for (const [size, text] of Object.entries(ids)) {
    must(textOf('blob', blobId(bodyOf(size))) === text, `the id of ${size} bytes`)
  }
  checkSealed(sealed)
  const [within, id, where] = [network, blob, space].map(unhex)
  const domain = ascii('nestmate/blob')
  must(hex(sha256(domain, within, id)) === keys.key, 'the key of a public blob')
  must(hex(sha256(domain, within, id, where)) === keys.key_in_space, 'the key in a space')
  for (const [called, text] of Object.entries(frames)) {
    const { name, frame } = readBlobFrame(unhex(text))
    must(name === called.split(',')[0], `${called} reads as ${name}`)
    must(hex(encode(frame)) === text, `${called} is encoded otherwise`)
  }
  return `${Object.keys(ids).length} ids, ${Object.keys(frames).length} frames`
}
