#ifndef TESTS_CMOCKA_H
#define TESTS_CMOCKA_H

/* cmocka needs these four before its own header; include this file instead. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
