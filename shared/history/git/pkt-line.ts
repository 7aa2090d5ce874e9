/** One packet of git's wire format (https://git-scm.com/docs/gitprotocol-common#_pkt_line_format). */
export type Packet =
  | { readonly kind: "data"; readonly data: Buffer }
  | { readonly kind: "flush" | "delimiter" | "response-end" };

export interface PacketReader {
  /** The packets that this piece completes. @throws RangeError when it is no packet */
  push(piece: Buffer): readonly Packet[];
  /** Whether all that came belongs to a packet that is complete. */
  isBetween(): boolean;
}

export const flushPacket = "0000";
export const delimiterPacket = "0001";

const prefixBytes = 4;
/** The longest packet with its length in front. */
const maxPacketBytes = 65_520;

/** A text as a packet, with the newline that git ends its lines with. */
export function packet(line: string): string {
  const text = `${line}\n`;
  return `${(Buffer.byteLength(text) + prefixBytes).toString(16).padStart(prefixBytes, "0")}${text}`;
}

/** What a packet says as a line, without the newline that may end it. */
export function lineOf(data: Buffer): string {
  return data.toString("utf8").replace(/\n$/, "");
}

export function packetReader(): PacketReader {
  let rest: Buffer = Buffer.alloc(0);
  return {
    push(piece) {
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      const packets: Packet[] = [];
      let at = 0;
      while (rest.length - at >= prefixBytes) {
        const length = lengthAt(rest, at);
        if (length < prefixBytes) {
          packets.push({ kind: specialOf(length) });
          at += prefixBytes;
          continue;
        }
        if (rest.length - at < length) break;
        packets.push({ kind: "data", data: rest.subarray(at + prefixBytes, at + length) });
        at += length;
      }
      rest = rest.subarray(at);
      return packets;
    },
    isBetween: () => rest.length === 0,
  };
}

function lengthAt(bytes: Buffer, at: number): number {
  const text = bytes.toString("latin1", at, at + prefixBytes);
  const length = /^[0-9a-f]{4}$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  if (!(length <= maxPacketBytes)) throw new RangeError("no packet of git's protocol");
  return length;
}

function specialOf(length: number): "flush" | "delimiter" | "response-end" {
  switch (length) {
    case 0:
      return "flush";
    case 1:
      return "delimiter";
    case 2:
      return "response-end";
    default:
      throw new RangeError("no packet of git's protocol");
  }
}
