// Private spaces as docs/spec/05-spaces.md has them: secrets and their names, the boxes
// that hand them out, and what is sealed with them. Knows no rule of who ought to read.
import sodium from 'libsodium-wrappers'

import { ascii, decode, joined, refuse, same } from './cbor.mjs'
import { readMutation } from './ops.mjs'
import { sha256 } from './records.mjs'

await sodium.ready

const NAME_BYTES = 16
const NONCE_BYTES = 24
const PAD_BYTES = 64
const SKELETON = 255

export const nameOf = (space, secret) =>
  sha256(ascii('nestmate space secret 1\n'), space, secret).slice(0, NAME_BYTES)

// The secret in the box for the key of this seed, if its name is that of the handing.
export function takeSecret (handing, space, seed) {
  const pair = sodium.crypto_sign_seed_keypair(seed)
  const [, box] = handing.boxes.find(([key]) => same(key, pair.publicKey)) ?? refuse('not for us')
  const secret = sodium.crypto_box_seal_open(
    box,
    sodium.crypto_sign_ed25519_pk_to_curve25519(pair.publicKey),
    sodium.crypto_sign_ed25519_sk_to_curve25519(pair.privateKey)
  )
  if (!same(nameOf(space, secret), handing.name)) refuse('a secret of another name')
  return secret
}

function additional (op, part) {
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(op.time)
  return joined([op.space, op.author, time, new Uint8Array([part])])
}

function unpadded (bytes) {
  const end = bytes.lastIndexOf(0x80)
  if (bytes.length % PAD_BYTES || bytes.length - end > PAD_BYTES) refuse('not padded so')
  if (end < 0 || bytes.subarray(end + 1).some(each => each !== 0)) refuse('not padded so')
  return bytes.slice(0, end)
}

function padded (bytes) {
  const length = PAD_BYTES * (Math.floor(bytes.length / PAD_BYTES) + 1)
  const whole = new Uint8Array(length)
  whole.set(bytes)
  whole[bytes.length] = 0x80
  return whole
}

export function unseal (secret, op, part, bytes) {
  const [nonce, hidden] = [bytes.slice(0, NONCE_BYTES), bytes.slice(NONCE_BYTES)]
  try {
    return unpadded(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
      null, hidden, additional(op, part), nonce, secret
    ))
  } catch (error) {
    return refuse(`it does not open: ${error.message}`)
  }
}

export function seal (secret, op, part, bytes, nonce) {
  return joined([nonce, sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    padded(bytes), additional(op, part), null, nonce, secret
  )])
}

// The mutations and clear values of a sealed op under a secret.
export function openSealed (secret, op) {
  if (!same(op.box.slice(0, NAME_BYTES), nameOf(op.space, secret))) refuse('another secret')
  const skeleton = unseal(secret, op, SKELETON, op.box.slice(NAME_BYTES))
  const mutations = decode(skeleton).map(item => readMutation(item, op.lane))
  if (mutations.length !== op.values.length) refuse('mutations without values')
  const values = op.values.map((value, n) => value && unseal(secret, op, n, value))
  values.forEach((value, n) => {
    if (value && !same(sha256(value), mutations[n].digest)) refuse('another value')
  })
  return { skeleton, mutations, values }
}

