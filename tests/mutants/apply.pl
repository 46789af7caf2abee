#!/usr/bin/perl
# apply.pl ROOT MUTANT: replaces the texts of a mutant (see run.sh) in the source tree ROOT and
# prints the files that it changed, one a line, relative to ROOT.
# Exit: 0 done; otherwise a text is not there exactly once, or the mutant is not well formed.
use strict;
use warnings;

my ($root, $mutant) = @ARGV;
die "usage: apply.pl ROOT MUTANT\n" unless defined $mutant;

sub read_all {
    my ($path) = @_;
    open(my $in, '<', $path) or die "$path: $!\n";
    local $/;
    return <$in>;
}

sub write_all {
    my ($path, $content) = @_;
    open(my $out, '>', $path) or die "$path: $!\n";
    print $out $content or die "$path: $!\n";
    close($out) or die "$path: $!\n";
}

# The one file among those named by the pattern that has the text, and its content.
sub find_text {
    my ($pattern, $text) = @_;
    my ($found, $content, $count) = (undef, undef, 0);
    for my $path (glob("$root/$pattern")) {
        my $source = read_all($path);
        my $here = () = $source =~ /\Q$text\E/g;
        ($found, $content) = ($path, $source) if $here;
        $count += $here;
    }
    die "$pattern: the text to replace is there $count times, not once:\n$text\n" if $count != 1;
    return ($found, $content);
}

my $mutation = read_all($mutant);
my $edits = 0;
while ($mutation =~ /^file: (\S+)\n--- from\n(.*?)\n--- to\n(.*?)\n--- end$/msg) {
    my ($pattern, $from, $to) = ($1, $2, $3);
    my ($path, $content) = find_text($pattern, $from);
    $content =~ s/\Q$from\E/$to/;
    write_all($path, $content);
    print substr($path, length("$root/")), "\n";
    $edits++;
}
my $files = () = $mutation =~ /^file: /mg;
die "$edits of $files edits are well formed\n" unless $edits > 0 && $edits == $files;
