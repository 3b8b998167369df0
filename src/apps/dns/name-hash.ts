// Hashes of names of the DNS, where they stand in a message. A name is hashed label by label from the root,
// so that all its suffixes are hashed on the way; it is how the zone of a name is found (zone-table.ts).
// Letters hash without their case (RFC 4343).

import { finish, mix } from '../../base/hash.ts';
import { lowerCase } from '../../wire/dns-names.ts';

/** The hash of a suffix with one label more before it, whose length byte is at `at`. @hot */
export function hashLabel(view: DataView, at: number, suffixHash: number): number {
  const length = view.getUint8(at);
  let hash = mix(suffixHash, length);
  for (let i = 1; i <= length; i = (i + 1) | 0) {
    hash = mix(hash, lowerCase(view.getUint8(at + i)));
  }
  return finish(hash);
}
