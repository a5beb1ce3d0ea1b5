#include "apus_ws.h"

bool apus_ws_text_feed(apus_ws_text *text, const uint8_t *bytes, size_t count)
{
    size_t i = 0;
    while (i < count) {
        if (text->missing != 0) {
            const uint8_t byte = bytes[i++];
            if (byte < text->low || byte > text->high) {
                return false;
            }
            text->missing--;
            text->low = 0x80;
            text->high = 0xBF;
            continue;
        }
        while (count - i >= 8) {
            uint64_t word;
            memcpy(&word, bytes + i, 8);
            if ((word & 0x8080808080808080u) != 0) {
                break;
            }
            i += 8;
        }
        if (i == count) {
            break;
        }
        const uint8_t lead = bytes[i++];
        if (lead < 0x80) {
            continue;
        }
        if (lead < 0xC2 || lead > 0xF4) {
            return false;
        }
        text->missing = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        text->low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        text->high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    }
    return true;
}
