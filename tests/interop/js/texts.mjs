// Text forms of 32 bytes (docs/spec/01-records.md, Identifiers): bech32m under a prefix
// that tells what is named, and base58btc for peer ids. Knows no record.
import { base58, bech32m } from '@scure/base'

import { joined, refuse, same, unhex } from './cbor.mjs'

const IDENTITY_ED25519 = unhex('002408011220')

export function textOf (prefix, bytes) {
  return bech32m.encode(prefix, bech32m.toWords(bytes))
}

export function bytesOf (prefix, text) {
  const { prefix: found, words } = bech32m.decode(text)
  const bytes = bech32m.fromWords(words)
  if (found !== prefix || bytes.length !== 32) refuse(`no ${prefix}1…`)
  return bytes
}

export const peerText = key => base58.encode(joined([IDENTITY_ED25519, key]))

export function peerKey (text) {
  const bytes = base58.decode(text)
  if (bytes.length !== 38 || !same(bytes.subarray(0, 6), IDENTITY_ED25519)) {
    refuse('no peer id with an Ed25519 key in it')
  }
  return bytes.subarray(6)
}
