/**
 * Chat templates: the part of Jinja (Pallets, jinja.palletsprojects.com/templates) that they use,
 * as transformers sets it up ({@code utils/chat_template_utils.py}); anything else is refused when
 * a template is read.
 */
@NullMarked
package dev.moxie.runtime.template;

import org.jspecify.annotations.NullMarked;
