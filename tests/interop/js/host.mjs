// A js-libp2p node that speaks what docs/spec/10-transport.md asks for: TCP, Noise,
// Yamux, identify, ping, the DHT of one network, gossip without signatures, and direct
// channels. It knows names on the wire and frames of bytes, and no record.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

import { joined } from './cbor.mjs'
import { Names, skillKey } from './names.mjs'

const FRAME_BYTES_MAX = 256 * 1024
const SECONDS_MAX = 10
const SHA2_256 = 0x12
const RAW = 0x55

const within = seconds => ({ signal: AbortSignal.timeout(seconds * 1000) })

// As js-libp2p wants what a provider provides; its multihash is what goes out.
const contentId = skill => CID.createV1(RAW, Digest.create(SHA2_256, skillKey(skill)))

// `presences` judges and ranks what is put under an address: {judge, best}.
export async function startHost (seed, network, presences, complain) {
  const names = new Names(network)
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    start: false,
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: names.kad,
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        validators: { [names.namespace]: presences.judge },
        selectors: { [names.namespace]: presences.best }
      }),
      pubsub: gossipsub({
        globalSignaturePolicy: 'StrictNoSign', // with it a message's id is its SHA-256
        allowPublishToZeroTopicPeers: true,
        emitSelf: false
      })
    }
  })
  return new Host(node, names, complain)
}

class Host {
  constructor (node, names, complain) {
    this.complain = complain
    this.node = node
    this.names = names
    this.lines = new Map()
  }

  get peer () {
    return this.node.peerId.toString()
  }

  // Without the peer at the end, as a card names them.
  get multiaddrs () {
    return this.node.getMultiaddrs().map(each => each.toString().replace(/\/p2p\/.*/, ''))
  }

  async dial (text) {
    const connection = await this.node.dial(multiaddr(text), within(SECONDS_MAX))
    return connection.remotePeer.toString()
  }

  ping (text) {
    return this.node.services.ping.ping(multiaddr(text), within(SECONDS_MAX))
  }

  // --- direct channels: four bytes of length, big-endian, then the frame ---

  async serve (channel, take) {
    await this.node.handle(this.names.channel(channel), async (stream, connection) => {
      const peer = connection.remotePeer.toString()
      try {
        for await (const frame of framesOf(stream)) {
          take(peer, frame)?.catch(error => this.complain(error))
        }
      } catch (error) {
        this.complain(error)
        stream.abort(error)
      }
    })
  }

  async send (peer, channel, frame) {
    const key = `${peer} ${channel}`
    let stream = this.lines.get(key)
    if (stream?.status !== 'open') {
      const [connection] = this.node.getConnections().filter(
        each => each.remotePeer.toString() === peer)
      if (!connection) throw new Error(`not connected with ${peer}`)
      stream = await connection.newStream(this.names.channel(channel), within(SECONDS_MAX))
      this.lines.set(key, stream)
    }
    const length = Buffer.alloc(4)
    length.writeUInt32BE(frame.length)
    if (!stream.send(joined([length, frame]))) await stream.onDrain(within(SECONDS_MAX))
  }

  // --- gossip ---

  mesh (topic) {
    return this.node.services.pubsub.getMeshPeers(topic)
  }

  subscribe (topic, take) {
    const { pubsub } = this.node.services
    pubsub.addEventListener('gossipsub:message', ({ detail: { msg, propagationSource } }) => {
      if (msg.topic !== topic) return
      take(msg.data, propagationSource.toString()).catch(error => this.complain(error))
    })
    pubsub.subscribe(topic)
  }

  async publish (topic, frame) {
    const { recipients } = await this.node.services.pubsub.publish(topic, frame)
    return recipients.map(String)
  }

  // --- the DHT ---

  get neighbours () {
    return this.node.services.dht.routingTable.size
  }

  async provide (skill) {
    const told = new Set()
    const { dht } = this.node.services
    for await (const event of dht.provide(contentId(skill), within(SECONDS_MAX))) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') {
        told.add(event.from.toString())
      }
    }
    return [...told]
  }

  async providers (skill) {
    const found = new Set()
    const { dht } = this.node.services
    for await (const event of dht.findProviders(contentId(skill), within(SECONDS_MAX))) {
      if (event.name !== 'PROVIDER') continue
      for (const each of event.providers) found.add(each.id.toString())
    }
    return [...found]
  }

  async put (address, record) {
    const kept = new Set()
    const key = this.names.presenceKey(address)
    for await (const event of this.node.services.dht.put(key, record, within(SECONDS_MAX))) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') {
        kept.add(event.from.toString())
      }
    }
    return [...kept]
  }

  async resolve (address) {
    let found = null
    const key = this.names.presenceKey(address)
    for await (const event of this.node.services.dht.get(key, within(SECONDS_MAX))) {
      if (event.name === 'VALUE') found = event.value
    }
    return found
  }
}

async function * framesOf (stream) {
  let waiting = Buffer.alloc(0)
  for await (const chunk of stream) {
    waiting = Buffer.concat([waiting, chunk.subarray()])
    while (waiting.length >= 4) {
      const size = waiting.readUInt32BE(0)
      if (size > FRAME_BYTES_MAX) throw new Error(`a frame of ${size} bytes`)
      if (waiting.length < 4 + size) break
      yield new Uint8Array(waiting.subarray(4, 4 + size))
      waiting = waiting.subarray(4 + size)
    }
  }
}
