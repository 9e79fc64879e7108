/** What a message between a client and any process may have, less what goes around one value in it. In bytes. */
export const lineBytesMax = 8 * 2 ** 20 - 4096;
