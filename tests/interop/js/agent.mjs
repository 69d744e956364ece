// An agent of its own, made in JavaScript: its identity, its card, what it says over
// the cards channel and what it learns there (docs/spec/03-cards-and-discovery.md).
// Whatever it hears is judged before it is told to the outside.
import { randomBytes } from 'node:crypto'

import { decode, encode, hex, refuse, same } from './cbor.mjs'
import {
  beginLog, compareLogs, hostSeed, makeCard, openCard, openInvite, openPresence
} from './identity.mjs'
import { signRecord, publicOf, sha256, networkId } from './records.mjs'
import { startHost } from './host.mjs'
import { skillKey } from './names.mjs'
import { Board } from './signals.mjs'
import { peerKey, peerText, textOf } from './texts.mjs'

const HOUR_MS = 3600 * 1000
const ASK_MS = 5000
const random = length => new Uint8Array(randomBytes(length))

export class Agent {
  static async start (options, tell) {
    const agent = new Agent(options, tell)
    agent.host = await startHost(hostSeed(agent.deviceSeed), agent.network, {
      judge: (key, record) => agent.judgePresence(key, record),
      best: (key, records) => agent.bestPresence(records)
    }, error => tell({ event: 'complaint', text: error.stack }))
    await agent.host.serve('cards', (peer, frame) => agent.hearCards(peer, decode(frame)))
    await agent.host.serve('friends', (peer, frame) => agent.hearFriends(decode(frame)))
    await agent.host.serve('signals', (peer, frame) => agent.board.hear(peer, frame, 'straight'))
    agent.host.node.addEventListener('peer:identify', ({ detail }) => {
      agent.greet(detail.peerId.toString()).catch(agent.host.complain)
    })
    await agent.host.node.start()
    return agent
  }

  constructor ({ network, called, skills }, tell) {
    this.network = networkId(network)
    this.called = called
    this.skills = skills
    this.tell = tell
    this.deviceSeed = random(32)
    this.phraseSeed = random(32)
    const inception = beginLog(this.deviceSeed, this.phraseSeed, random(16))
    this.log = [inception.data]
    this.address = inception.id
    this.cards = new Map()
    this.speakers = new Map()
    this.greeted = new Set()
    this.questions = []
    this.board = new Board(this)
  }

  get who () {
    return textOf('nest', this.address)
  }

  get peer () {
    return this.host.peer
  }

  get hosts () {
    return [{ peer: peerKey(this.peer), multiaddrs: this.host.multiaddrs }]
  }

  card () {
    return makeCard(this, this.hosts, this.skills, Date.now())
  }

  presence () {
    const now = Date.now()
    return signRecord(this.deviceSeed, 'presence', this.network, [
      [1, this.address],
      [2, now],
      [3, this.hosts.map(host => [host.peer, host.multiaddrs])],
      [4, this.log],
      [5, now + HOUR_MS]
    ])
  }

  // --- the cards channel ---

  async greet (peer) {
    await this.host.send(peer, 'cards', encode([1, this.card().data]))
  }

  async hearCards (peer, frame) {
    const [code, what] = frame
    if (code === 1) await this.meet(peer, what)
    else if (code === 2) await this.learn(peer, what, frame[2])
    else if (code === 5) await this.host.send(peer, 'cards', encode([6, what]))
    else if (code === 6) this.answered(what, peer)
    else if (code === 8) await this.greet(peer)
    else if ([3, 4, 7].includes(code)) {
      const answer = [2, this.asked(code, what), this.about(code, what)]
      await this.host.send(peer, 'cards', encode(answer))
    } else refuse('no frame of the cards channel')
  }

  asked (code, what) {
    const card = this.card().data
    const mine = {
      3: () => same(what, this.address),
      4: () => this.skills.includes(what),
      7: () => same(what, publicOf(this.deviceSeed))
    }
    return mine[code]?.() ? [card] : []
  }

  about (code, what) {
    return code === 4 ? skillKey(what) : what
  }

  async meet (peer, data) {
    const card = await this.keep(data)
    if (!card.hosts.some(host => peerText(host.peer) === peer)) {
      throw new Error('a hello with the card of another host')
    }
    this.greeted.add(`${peer} ${hex(card.address)}`)
    this.answered(`${peer} ${hex(card.address)}`, card)
    this.tell({ event: 'hello', peer, ...this.described(card) })
  }

  async learn (peer, cards, about) {
    const known = []
    for (const data of cards) known.push(await this.keep(data))
    this.tell({ event: 'cards', peer, addresses: known.map(card => textOf('nest', card.address)) })
    this.answered(hex(about), known)
  }

  async keep (data) {
    const card = await openCard(data, this.network, Date.now())
    const known = this.cards.get(hex(card.address))
    if (!known || compareLogs(card.log, known.log) > 0 || card.version > known.version) {
      this.cards.set(hex(card.address), card)
    }
    this.speakers.set(hex(card.author), card.address)
    return card
  }

  // The address a device key speaks for: known, or asked of who brought its word.
  async speaker (device, bearer) {
    if (!this.speakers.has(hex(device))) await this.ask(bearer, [7, device], hex(device))
    return this.speakers.get(hex(device)) ?? refuse('the word of a stranger')
  }

  // What a person could compare with what the other side says of itself.
  described (card) {
    return {
      address: textOf('nest', card.address),
      record: hex(card.id),
      card: hex(card.data),
      called: card.called,
      skills: card.skills.map(skill => skill.name),
      hosts: card.hosts.map(host => [peerText(host.peer), host.multiaddrs]),
      rotation: hex(card.log.records[0].body.get(2)),
      recovery: hex(card.log.records[0].body.get(3)),
      log: card.log.records.length
    }
  }

  // Asks and waits: for the cards about something, or for the answer to a ping.
  async ask (peer, frame, about) {
    const answer = this.awaited(about)
    await this.host.send(peer, 'cards', encode(frame))
    return answer
  }

  awaited (about) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer')), ASK_MS)
      this.questions.push({ about, resolve: value => { clearTimeout(timer); resolve(value) } })
    })
  }

  answered (about, answer) {
    for (const each of this.questions.filter(each => each.about === about)) each.resolve(answer)
    this.questions = this.questions.filter(each => each.about !== about)
  }

  // Waits for the hello of an agent at a peer.
  async met (peer, address) {
    const about = `${peer} ${hex(address)}`
    if (!this.greeted.has(about)) await this.awaited(about)
  }

  async wantCard (peer, address) {
    const known = await this.ask(peer, [3, address], hex(address))
    return known.map(card => this.described(card))
  }

  async wantSkill (peer, skill) {
    const known = await this.ask(peer, [4, skill], hex(this.about(4, skill)))
    return known.map(card => this.described(card))
  }

  async ping (peer) {
    const number = Date.now()
    await this.ask(peer, [5, number], number)
    return number
  }

  // --- friends ---

  async join (line) {
    const invite = await openInvite(line, this.network)
    const peer = peerText(invite.body.get(2))
    await this.host.dial(`${invite.body.get(3)[0]}/p2p/${peer}`)
    await this.met(peer, invite.body.get(1))
    const answer = this.awaited(hex(invite.id))
    await this.host.send(peer, 'friends', encode([1, invite.id, invite.body.get(4)]))
    return answer
  }

  async hearFriends ([code, invite, reason]) {
    this.answered(hex(invite), code === 2 ? 'welcome' : reason)
  }

  // --- the DHT ---

  async judgePresence (key, record) {
    const presence = await openPresence(record, this.network, Date.now())
    if (!same(key, this.host.names.presenceKey(presence.address))) {
      throw new Error('the presence of another address')
    }
  }

  // R2.11: the greatest log, then the highest version.
  async bestPresence (records) {
    const opened = await Promise.all(records.map(
      record => openPresence(record, this.network, Date.now())))
    const order = (a, b) => compareLogs(a.log, b.log) || a.version - b.version ||
      Buffer.compare(a.data, b.data)
    return opened.indexOf(opened.toSorted(order).at(-1))
  }

  async resolve (address) {
    const record = await this.host.resolve(address)
    if (!record) return null
    const presence = await openPresence(record, this.network, Date.now())
    return presence.hosts.map(host => [peerText(host.peer), host.multiaddrs])
  }
}
