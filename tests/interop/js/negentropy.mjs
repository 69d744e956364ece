// One side of a reconciliation as the negentropy of nostr-tools has it, led by lines of
// JSON: {items: [[seconds, id], ...], limit} begins one and gives {message}; {answer}
// gives {message, have, need}, message null at the end. Bytes are hexadecimal.
import { createInterface } from 'node:readline'

import { Negentropy, NegentropyStorageVector } from '../node_modules/nostr-tools/lib/esm/nip77.js'

let side

function begin ({ items, limit }) {
  const storage = new NegentropyStorageVector()
  for (const [seconds, id] of items) storage.insert(seconds, id)
  storage.seal()
  side = new Negentropy(storage, limit)
  return { message: side.initiate() }
}

function goOn ({ answer }) {
  const [have, need] = [[], []]
  const message = side.reconcile(answer, id => have.push(id), id => need.push(id))
  return { message, have, need }
}

for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line)
  const told = said.items ? begin(said) : goOn(said)
  process.stdout.write(JSON.stringify(told) + '\n')
}
