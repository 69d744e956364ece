// How things are called in one network (docs/spec/10-transport.md and 03): protocols,
// topics and keys of the DHT. Knows strings and hashes only.
import { ascii, hex } from './cbor.mjs'
import { sha256 } from './records.mjs'

export const skillKey = skill => sha256(ascii('nestmate/skill/'), Buffer.from(skill))

export class Names {
  constructor (network) {
    this.tag = hex(network).slice(0, 16)
    this.kad = `/nestmate/${this.tag}/kad/1.0.0`
    this.namespace = `nestmate-${this.tag}`
  }

  channel (name) {
    return `/nestmate/1/${this.tag}/${name}`
  }

  topic (skill) {
    return `nestmate/1/${this.tag}/skill/${hex(sha256(Buffer.from(skill))).slice(0, 16)}`
  }

  presenceKey (address) {
    return ascii(`/${this.namespace}/${hex(address)}`)
  }
}
