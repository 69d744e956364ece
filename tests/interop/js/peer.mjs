// A js-libp2p peer with an agent of its own, led by its standard streams: one JSON
// object a line in, {id, do, …}; out come {id, ok, …} as answers and {event, …} for
// what happens by itself. It ends when its input ends. Started as
// `node peer.mjs NETWORK NAME [SKILL…]`.
import { createInterface } from 'node:readline'

// Node.js 20 does not have it yet, and libp2p wants it.
Promise.withResolvers ??= function () {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

const { Agent } = await import('./agent.mjs')
const { hex } = await import('./cbor.mjs')
const { digestsOf } = await import('./identity.mjs')
const { bytesOf } = await import('./texts.mjs')

const [network, called, ...skills] = process.argv.slice(2)
const say = words => process.stdout.write(JSON.stringify(words) + '\n')
const agent = await Agent.start({ network, called, skills }, say)

const COMMANDS = {
  dial: ({ multiaddr }) => agent.host.dial(multiaddr),
  ping: ({ multiaddr }) => agent.host.ping(multiaddr),
  ask_ping: ({ peer }) => agent.ping(peer),
  neighbours: () => agent.host.neighbours,
  providers: ({ skill }) => agent.host.providers(skill),
  provide: ({ skill }) => agent.host.provide(skill),
  announce: () => agent.host.put(agent.address, agent.presence().data),
  resolve: ({ address }) => agent.resolve(bytesOf('nest', address)),
  want_card: ({ peer, address }) => agent.wantCard(peer, bytesOf('nest', address)),
  want_skill: ({ peer, skill }) => agent.wantSkill(peer, skill),
  digests: ({ phrase }) => digestsOf(phrase).map(hex),
  join: ({ line }) => agent.join(line),
  listen: ({ skill }) => agent.board.listen(skill),
  mesh: ({ skill }) => agent.host.mesh(agent.host.names.topic(skill)),
  deposit: ({ skill, urgency, body }) => agent.board.deposit(skill, urgency, body),
  claim: ({ task }) => agent.board.claim(bytesOf('task', task)),
  finish: ({ task, result }) => agent.board.finish(bytesOf('task', task), result)
}

say({ event: 'up', address: agent.who, peer: agent.peer, multiaddrs: agent.host.multiaddrs })
for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: what, ...rest } = JSON.parse(line)
  Promise.resolve()
    .then(() => COMMANDS[what](rest))
    .then(answer => say({ id, ok: true, answer: answer ?? null }))
    .catch(error => say({ id, ok: false, answer: error.stack }))
}
await agent.host.node.stop()
process.exit(0)
