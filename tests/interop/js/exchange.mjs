// One side of reconciling a lane, led by lines of JSON: {keys, secret, begin} begins one,
// {message} goes on; each gives {message, given}, or {refused} for what is no message.
// Bytes are hexadecimal.
import { createInterface } from 'node:readline'

import { Refused, hex, unhex } from './cbor.mjs'
import { Exchange } from './ranges.mjs'

let side

function begin ({ keys, secret, begin }) {
  side = new Exchange(keys, unhex(secret))
  return { message: begin ? hex(side.begin()) : '', given: [] }
}

function goOn ({ message }) {
  try {
    const { answer, given } = side.answer(unhex(message))
    return { message: hex(answer), given }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { refused: error.message }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line)
  const told = said.keys ? begin(said) : goOn(said)
  process.stdout.write(JSON.stringify(told) + '\n')
}
