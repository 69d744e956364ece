// Takes out of package-lock.json what names an address: npm notes there where to
// send money and what to read. What decides what is installed, the versions and the
// hashes, stays. `scripts/interop --relock` runs it after npm wrote the lock anew.
import { readFileSync, writeFileSync } from 'node:fs'

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
for (const entry of Object.values(lock.packages)) {
  delete entry.funding
  delete entry.deprecated
  delete entry.resolved
}
writeFileSync(file, JSON.stringify(lock, null, 2) + '\n')
