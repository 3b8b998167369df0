// The two messages of grpc.health.v1.Health/Check, and the frame that gRPC puts each message in: one
// byte (compressed or not) and its length in four. Pure. protobuf.dev/programming-guides/encoding;
// github.com/grpc/grpc/blob/master/doc/{health-checking,PROTOCOL-HTTP2}.md.
// Invariant: any bytes can be read; what is no answer gives undefined.

const FRAME_HEADER_SIZE = 5;
const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

/** HealthCheckResponse.ServingStatus, by number. */
const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** A framed HealthCheckRequest: field 1 is the service's name, absent when it is ''. */
export function encodeCheckRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  const body =
    name.length === 0 ? name : Buffer.concat([Buffer.of((1 << 3) | 2), varint(name.length), name]);
  const header = Buffer.alloc(FRAME_HEADER_SIZE);
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
}

/** The name of the status in a framed HealthCheckResponse ('SERVING'); undefined when it is none. */
export function decodeCheckResponse(frame: Buffer): string | undefined {
  if (frame.length < FRAME_HEADER_SIZE || frame[0] !== 0) return undefined;
  const end = FRAME_HEADER_SIZE + frame.readUInt32BE(1);
  if (end !== frame.length) return undefined;
  // A status that is left out is 0, the default of an enumeration.
  let status = 0;
  let offset = FRAME_HEADER_SIZE;
  while (offset < end) {
    const key = readVarint(frame, offset);
    if (key === undefined) return undefined;
    offset = key.next;
    const wireType = key.value & 7;
    if (wireType === WIRE_VARINT) {
      const value = readVarint(frame, offset);
      if (value === undefined) return undefined;
      if (key.value >>> 3 === 1) status = value.value;
      offset = value.next;
    } else {
      offset = skipField(frame, offset, wireType);
      if (offset < 0 || offset > end) return undefined;
    }
  }
  return SERVING_STATUS[status] ?? `status ${status}`;
}

/** The offset behind a field of a type that is not looked at; -1 when it cannot be told. */
function skipField(bytes: Buffer, offset: number, wireType: number): number {
  if (wireType === WIRE_FIXED64) return offset + 8;
  if (wireType === WIRE_FIXED32) return offset + 4;
  if (wireType !== WIRE_BYTES) return -1;
  const size = readVarint(bytes, offset);
  return size === undefined ? -1 : size.next + size.value;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return Buffer.from([...bytes, rest]);
}

/** The lowest 32 bits of a varint, and the offset behind it. */
function readVarint(bytes: Buffer, begin: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let i = 0; i < MAX_VARINT_BYTES && begin + i < bytes.length; i++) {
    const byte = bytes[begin + i];
    if (i < 5) value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return { value: value >>> 0, next: begin + i + 1 };
  }
  return undefined;
}
