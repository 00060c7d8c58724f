/* Names of functions: found in this program's own file, and no file makes the reader step outside it. */
#include "harness.h"
#include "run.h"

#include "runtime/names.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((noinline)) static void a_function_of_this_file(void) { __asm__ volatile("" ::: "memory"); }

static int own_and_foreign_names(void *arg)
{
    (void)arg;
    struct names *names = names_open();
    struct name name;
    EXPECT(names != NULL);
    a_function_of_this_file();
    for (int again = 0; again < 2; again++) { /* the second from the cache */
        names_find(names, (uint64_t)(uintptr_t)a_function_of_this_file, &name);
        EXPECT(name.function && strcmp(name.function, "a_function_of_this_file") == 0);
        EXPECT(name.module && strstr(name.module, "check"));
        EXPECT(name.offset < (uint64_t)(uintptr_t)a_function_of_this_file || !name.module);
    }
    names_find(names, 64, &name);
    EXPECT(!name.function && !name.module);
    EXPECT_EQ(name.offset, 64);
    names_close(names);

    names_find(NULL, (uint64_t)(uintptr_t)a_function_of_this_file, &name);
    EXPECT(!name.function && name.module); /* without memory the place is known all the same */
    names_close(NULL);
    return 0;
}

TEST(names, functions_of_the_program_are_found) { RUN(1, own_and_foreign_names); }

/* An image of its own: header, two sections (symbols, strings), one function "f" at 0x1000, 16 bytes. */
struct small_image {
    Elf64_Ehdr header;
    Elf64_Shdr sections[2];
    Elf64_Sym symbols[2];
    char strings[8];
};

static struct small_image small_image(void)
{
    struct small_image image = { .strings = "\0f\0tail" };
    memcpy(image.header.e_ident, ELFMAG, SELFMAG);
    image.header.e_ident[EI_CLASS] = ELFCLASS64;
    image.header.e_ident[EI_DATA] = ELFDATA2LSB;
    image.header.e_shentsize = sizeof(Elf64_Shdr);
    image.header.e_shnum = 2;
    image.header.e_shoff = offsetof(struct small_image, sections);
    image.sections[0] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB,
                                      .sh_offset = offsetof(struct small_image, symbols),
                                      .sh_size = sizeof image.symbols,
                                      .sh_link = 1 };
    image.sections[1] = (Elf64_Shdr){ .sh_type = SHT_STRTAB,
                                      .sh_offset = offsetof(struct small_image, strings),
                                      .sh_size = sizeof image.strings };
    image.symbols[1] = (Elf64_Sym){
        .st_name = 1, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC), .st_shndx = 1, .st_value = 0x1000, .st_size = 16
    };
    return image;
}

static const char *find(const struct small_image *image, uint64_t address)
{
    return names_find_in_image((const uint8_t *)image, sizeof *image, address);
}

TEST(names, a_function_holds_the_addresses_of_its_size)
{
    struct small_image image = small_image();
    ck_assert_str_eq(find(&image, 0x1000), "f");
    ck_assert_str_eq(find(&image, 0x100f), "f");
    ck_assert_ptr_null(find(&image, 0xfff));
    ck_assert_ptr_null(find(&image, 0x1010));
}

TEST(names, a_dynamic_table_serves_when_there_is_no_other)
{
    struct small_image image = small_image();
    image.sections[0].sh_type = SHT_DYNSYM;
    ck_assert_str_eq(find(&image, 0x1000), "f");
}

TEST(names, a_file_that_lies_gives_no_name)
{
    struct small_image image = small_image();
    image.header.e_shoff = UINT64_MAX - 7;
    ck_assert_ptr_null(find(&image, 0x1000));
    image = small_image();
    image.sections[0].sh_link = 2;
    ck_assert_ptr_null(find(&image, 0x1000));
    image = small_image();
    image.sections[0].sh_size = UINT64_MAX;
    ck_assert_ptr_null(find(&image, 0x1000));
    image = small_image();
    image.sections[1].sh_offset = sizeof image - 2;
    ck_assert_ptr_null(find(&image, 0x1000));
    image = small_image();
    image.symbols[1].st_name = 8;
    ck_assert_ptr_null(find(&image, 0x1000));
    image = small_image();
    memset(image.strings + 1, 'x', sizeof image.strings - 1); /* without an end */
    ck_assert_ptr_null(find(&image, 0x1000));
    image = small_image();
    image.header.e_ident[EI_CLASS] = ELFCLASS32;
    ck_assert_ptr_null(find(&image, 0x1000));
}

/* The copy is as long as what the reader is told, so a sanitizer sees every step outside. */
TEST(names, no_cut_and_no_flipped_bit_makes_it_read_outside)
{
    struct small_image image = small_image();
    for (size_t bytes = 0; bytes <= sizeof image; bytes++) {
        uint8_t *copy = malloc(bytes ? bytes : 1);
        memcpy(copy, &image, bytes);
        names_find_in_image(copy, bytes, 0x1000);
        free(copy);
    }
    uint8_t *copy = malloc(sizeof image);
    for (size_t bit = 0; bit < 8 * sizeof image; bit++) {
        memcpy(copy, &image, sizeof image);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        names_find_in_image(copy, sizeof image, 0x1000);
    }
    free(copy);
}
