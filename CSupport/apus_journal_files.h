/* apus_journal_files.h: what the journal's writer and reader both know of its files; not for Swift. */
#ifndef APUS_JOURNAL_FILES_H
#define APUS_JOURNAL_FILES_H

#include "apus_journal.h"

#define APUS_JOURNAL_FILE_NAME_LENGTH (8 + 20 + 5) /* "journal-", digits, ".apus" */
#define APUS_JOURNAL_FILE_NAME_CAPACITY (APUS_JOURNAL_FILE_NAME_LENGTH + 5)

/* The `connection` of a seal: what follows it. */
#define APUS_JOURNAL_SEAL_CONTINUED 0u /* the next segment, which exists */
#define APUS_JOURNAL_SEAL_CLOSED 1u    /* nothing of this boot epoch */

typedef enum apus_journal_header_verdict {
    APUS_JOURNAL_HEADER_GOOD,
    APUS_JOURNAL_HEADER_BAD,
    APUS_JOURNAL_HEADER_OTHER_VERSION,
} apus_journal_header_verdict;

/* Whether `name` is that of a complete segment, and its number. */
bool apus_journal_parse_name(const char *name, uint64_t *number);

void apus_journal_format_name(char out[APUS_JOURNAL_FILE_NAME_CAPACITY], uint64_t number, bool in_preparation);

/* The numbers of the segments in a directory, rising, for the caller to free; 0 or -errno. */
int apus_journal_list(int directory, uint64_t **numbers, size_t *count);

apus_journal_header_verdict apus_journal_check_header(const apus_journal_file_header *header, uint64_t file_bytes,
                                                      uint64_t number);

#endif
