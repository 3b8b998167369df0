// The one DNS question that clients of the scenarios ask: for a TXT record, in which each server of the
// lab names itself ('server.lab'). RFC 1035, 4.1.
// What is asked for stands at offset 12 of the datagram, which is what rules by payload look at.

const TYPE_TXT = 16;
const CLASS_IN = 1;
/** Where the name begins, behind the header. */
export const QUESTION_OFFSET = 12;

/** A name as it stands in a message: labels, each behind its length. */
export function dnsName(name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Buffer.from([...labels, 0]);
}

export function dnsQuestion(identification: number, name = 'server.lab'): Buffer {
  const header = [identification >> 8, identification & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  return Buffer.from([...header, ...dnsName(name), 0, TYPE_TXT, 0, CLASS_IN]);
}

/** The text of the only answer: behind the question, a pointer, type, class, lifetime, length. */
export function dnsText(answer: Buffer, name = 'server.lab'): string {
  const start = dnsQuestion(0, name).length + 2 + 2 + 2 + 4 + 2;
  return answer.toString('latin1', start + 1, start + 1 + answer[start]);
}
