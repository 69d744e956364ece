// What docs/spec/08-blobs.md says, made anew: ids of blobs, where they are found, and
// frames, held against tests/vectors/blobs.json.
import { createHash } from 'node:crypto'

import { ascii, decode, encode, hex, refuse, unhex } from './cbor.mjs'
import { flag, integer, many, octets, optional } from './fields.mjs'
import { sha256 } from './records.mjs'
import { textOf } from './texts.mjs'

const CHUNK_BYTES = 65_536
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

export function blobId (body) {
  const size = Buffer.alloc(8)
  size.writeBigUInt64BE(BigInt(body.length))
  const hashes = []
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    hashes.push(sha256(body.slice(at, at + CHUNK_BYTES)))
  }
  return sha256(ascii('nestmate/1/blob\0'), size, ...hashes)
}

function must (fact, what) {
  if (!fact) throw new Error(what)
}

export function checkBlobs ({ ids, network, blob, space, frames, ...keys }) {
  for (const [size, text] of Object.entries(ids)) {
    const length = Number(size)
    const body = length
      ? createHash('shake256', { outputLength: length }).digest()
      : new Uint8Array()
    must(textOf('blob', blobId(body)) === text, `the id of ${size} bytes`)
  }
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
