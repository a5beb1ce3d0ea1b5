/* SQLite of the system, for `apus export`. */
#include <sqlite3.h>
