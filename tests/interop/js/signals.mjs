// Signals and claims as docs/spec/04-signals-and-claims.md has them, as far as two
// agents need them to do each other's tasks: deposit, sense, claim, lease, done and
// receipt. Knows nothing of strength, patience or repetition; a test is neither.
import { randomBytes } from 'node:crypto'

import { ascii, hex, refuse, same } from './cbor.mjs'
import { makeFrame, openFrame, sha256, signRecord } from './records.mjs'
import { peerText, textOf } from './texts.mjs'

const SIZE_CODE = 0
const TTL_SECONDS = 600
const LEASE_SECONDS = 15
const COST_CENTS = 5

export const taskId = (issuer, key) => sha256(ascii('nestmate/task'), issuer, key)
export const urgencyCode = urgency => Math.floor(127 * urgency + 0.5)
export const valueOf = code => 2 ** (code / 16)

// A record from whoever it must be from (R4.1).
const SIGNERS = { signal: 1, deposit: 3, claim: 2, beat: 2, done: 2, release: 2, testimony: 1 }

export class Board {
  constructor (agent) {
    this.agent = agent
    this.sensed = new Map()
    this.own = new Map()
    this.held = new Map()
    this.chain = {
      incarnation: new Uint8Array(randomBytes(16)),
      seq: Math.floor(Date.now() / 1000),
      prev: null,
      spent: 0
    }
  }

  sign (kind, fields) {
    const present = fields.filter(([, value]) => value !== null && value !== undefined)
    return signRecord(this.agent.deviceSeed, kind, this.agent.network, present)
  }

  // --- what comes in ---

  listen (skill) {
    const topic = this.agent.host.names.topic(skill)
    this.agent.host.subscribe(topic, (data, peer) => this.hear(peer, data, 'gossip'))
    return topic
  }

  async hear (peer, data, way) {
    for (const record of await openFrame(data, this.agent.network)) {
      const author = await this.agent.speaker(record.author, peer)
      const signer = SIGNERS[record.kind]
      if (signer && !same(record.body.get(signer), author)) refuse('said in another name')
      await this.take(record, author, way)
    }
  }

  async take (record, author, way) {
    const by = textOf('nest', author)
    this.agent.tell({
      event: 'record',
      kind: record.kind,
      way,
      by,
      age: record.age,
      record: hex(record.id),
      data: hex(record.data)
    })
    if (record.kind === 'signal') this.sense(record, author, way)
    else if (record.kind === 'claim') await this.lend(record, author)
    else if (record.kind === 'done') await this.settle(record, author)
    else if (record.kind === 'lease') this.hold(record, author)
    else if (record.kind === 'receipt') this.rest(record)
  }

  sense ({ body }, issuer, way) {
    const task = taskId(issuer, body.get(2))
    const inline = body.get(13)
    if (inline && !same(sha256(inline), body.get(14))) refuse('a body that is not its hash')
    this.sensed.set(hex(task), { issuer, body })
    this.agent.tell({
      event: 'signal',
      way,
      task: textOf('task', task),
      issuer: textOf('nest', issuer),
      skill: body.get(3),
      urgency: valueOf(body.get(4)),
      generation: body.get(22),
      body: inline ? Buffer.from(inline).toString() : null
    })
  }

  // --- as an issuer ---

  async deposit (skill, urgency, text) {
    const body = new Uint8Array(Buffer.from(text))
    const key = new Uint8Array(randomBytes(16))
    const code = urgencyCode(urgency)
    const { incarnation, seq, prev, spent } = this.link(code)
    const signal = this.sign('signal', [
      [1, this.agent.address], [2, key], [3, skill], [4, code], [5, SIZE_CODE],
      [6, TTL_SECONDS], [8, LEASE_SECONDS], [9, incarnation], [10, seq], [11, prev],
      [12, spent], [13, body], [14, sha256(body)], [15, body.length], [17, Date.now()],
      [22, 1], [23, 0]
    ])
    this.chain.prev = signal.id
    const task = taskId(this.agent.address, key)
    this.own.set(hex(task), { skill, generation: 1, holder: null, result: null, since: 0 })
    return { task: textOf('task', task), told: await this.gossip(skill, signal) }
  }

  link (code) {
    this.chain.seq += 1
    this.chain.spent += COST_CENTS + Math.round(100 * (valueOf(code) - 1))
    return this.chain
  }

  gossip (skill, record) {
    return this.agent.host.publish(this.agent.host.names.topic(skill), makeFrame([record]))
  }

  async straight (address, record) {
    const card = this.agent.cards.get(hex(address))
    const peer = peerText(card.hosts[0].peer)
    await this.agent.host.send(peer, 'signals', makeFrame([record]))
  }

  async lend ({ body }, worker) {
    const own = this.own.get(hex(body.get(1)))
    if (!own || own.result || body.get(3) !== own.generation) return
    if (own.holder && !same(own.holder, worker)) return
    own.holder = worker
    own.since = Date.now()
    const seconds = Math.min(body.get(5), LEASE_SECONDS)
    const lease = this.sign('lease', [
      [1, body.get(1)], [2, own.generation], [3, worker], [4, seconds], [5, body.get(4)], [7, 0]
    ])
    await this.straight(worker, lease)
    await this.gossip(own.skill, lease)
  }

  async settle ({ body }, worker) {
    const own = this.own.get(hex(body.get(1)))
    if (!own?.holder || !same(own.holder, worker) || body.get(3) !== own.generation) return
    const result = body.get(4) ?? new Uint8Array()
    if (!same(sha256(result), body.get(5))) refuse('a result that is not its hash')
    if (own.result === null) {
      own.result = Buffer.from(result).toString()
      own.receipt = this.sign('receipt', [
        [1, body.get(1)], [2, own.generation], [3, worker], [4, body.get(5)],
        [5, Date.now() - own.since], [6, SIZE_CODE], [7, 0]
      ])
    }
    const [task, by] = [textOf('task', body.get(1)), textOf('nest', worker)]
    this.agent.tell({ event: 'result', task, result: own.result, by })
    await this.straight(worker, own.receipt)
    await this.gossip(own.skill, own.receipt)
  }

  // --- as a worker ---

  async claim (task) {
    const { issuer, body } = this.sensed.get(hex(task))
    await this.straight(issuer, this.sign('claim', [
      [1, task], [2, this.agent.address], [3, body.get(22)], [4, 1000], [5, LEASE_SECONDS]
    ]))
  }

  hold ({ body }, issuer) {
    const task = body.get(1)
    const mine = same(body.get(3), this.agent.address)
    const known = this.sensed.get(hex(task))
    if (!known || !same(known.issuer, issuer)) return
    if (mine) {
      this.held.set(hex(task), { issuer, generation: body.get(2), since: Date.now() })
      const work = body.get(6) ?? known.body.get(13)
      if (!same(sha256(work), known.body.get(14))) refuse('a body that is not its hash')
    }
    this.agent.tell({ event: 'lease', task: textOf('task', task), mine, generation: body.get(2) })
  }

  async finish (task, text) {
    const { issuer, generation, since } = this.held.get(hex(task))
    const result = new Uint8Array(Buffer.from(text))
    await this.straight(issuer, this.sign('done', [
      [1, task], [2, this.agent.address], [3, generation], [4, result],
      [5, sha256(result)], [6, Date.now() - since]
    ]))
  }

  rest ({ body }) {
    const mine = same(body.get(3), this.agent.address)
    const task = textOf('task', body.get(1))
    this.agent.tell({ event: 'receipt', task, mine, verdict: body.get(7) })
  }
}
