#ifndef ACTORS_SERVER_OPTION_HELP_H
#define ACTORS_SERVER_OPTION_HELP_H

/** Help and version texts, made from the tables. */

#include "actors/server/option_table.h"

/** The list of commands. */
void trp_option_help_program(struct trp_option_text *text);

/** Usage line and options of one command. */
void trp_option_help_command(struct trp_option_text *text, enum trp_program_command command);

/** Name and version. */
void trp_option_help_version(struct trp_option_text *text);

#endif
